"""A convolution of concatenated maps that does not concatenate them."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.ops.exporting import is_exporting

from .row_conv import LANES, add_parts, row_kernel


class ConcatConv2d(nn.Conv2d):
    """``nn.Conv2d`` of maps concatenated over channels: the sum of the convolutions of each.

    The concatenated map of the flow predictor has as many values as the fine map; writing it and
    reading it again takes as long as the convolution does. Arguments and weights are those of
    ``nn.Conv2d``, with zeros for padding.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (N, C_i, H, W), with ``in_channels`` in all, to (N, out_channels, H, W).

        Raises:
            RuntimeError: The channels do not add up.
        """
        kernel, by_rows = self.kernel_size[0], self._is_faster_by_rows(maps[0])
        weight = row_kernel(self.weight) if by_rows else self.weight
        padding = (0, kernel // 2) if by_rows else self.padding
        outs = [
            F.conv2d(x, part, None, self.stride, padding, self.dilation)
            for x, part in zip(maps, weight.split([x.shape[1] for x in maps], dim=1))
        ]
        out = sum(outs[1:], outs[0])
        if by_rows:
            out = add_parts(out, self.out_channels, kernel, dim=2)
        return out if self.bias is None else out + self.bias[:, None, None]

    def _is_faster_by_rows(self, x: Tensor) -> bool:
        """Not in training: forward and backward together take as long either way."""
        kernel = self.kernel_size[0]
        keeps_size = kernel % 2 == 1 and self.padding == (kernel // 2,) * 2
        steps_by_one = self.stride == self.dilation == (1, 1)
        fits_a_vector = kernel > 1 and kernel * self.out_channels <= LANES
        on_cpu = x.device.type == 'cpu' and not is_exporting()
        without_gradients = not torch.is_grad_enabled()
        return keeps_size and steps_by_one and fits_a_vector and on_cpu and without_gradients
