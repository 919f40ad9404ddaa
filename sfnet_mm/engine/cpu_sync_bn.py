"""Batch normalization over the processes of a CPU run; torch's SyncBatchNorm needs a GPU."""

import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


@MODELS.register_module()
class CPUSyncBN(nn.BatchNorm2d):
    """``BatchNorm2d`` with the training statistics of all processes together.

    It replaces SyncBN in configs that run in several CPU processes (see
    :func:`sfnet_mm.utils.config.fit_to_cpu`), so that they train like one process with the whole
    batch. State dict and results at test time are those of ``BatchNorm2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C, H, W); batches of the processes may differ in size."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)
        # Mixed precision gives bfloat16, in which sums are inexact.
        dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        count = x.new_tensor([x.numel() / x.shape[1]])
        total = all_reduce(torch.cat([x.sum((0, 2, 3)), count]))
        count = total[-1].detach()
        mean = total[:-1] / count
        # The deviations from the common mean are squared, because sums of x and x^2 would cancel
        # out.
        var = all_reduce((x - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(1, -1, 1, 1), x, scale.view(1, -1, 1, 1)).to(dtype)
