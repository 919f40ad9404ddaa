"""The context module on top of the backbone.

Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105, as SFNet uses it (SFNet paper,
section 3.2; authors' ``PSPModule`` and ``SPSPModule``).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from mmseg.models.decode_heads.psp_head import PPM
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn.modules.instancenorm import _InstanceNorm

from sfnet_mm.ops.exporting import is_exporting
from sfnet_mm.utils.arguments import check_choice

from .rearranged_convs import activation, bias_of, compose, is_plain, make_conv
from .upsampling import resize


def is_synced(module: nn.Module) -> bool:
    """Return whether a layer normalizes over all processes."""
    return 'SyncB' in type(module).__name__


def pool_to_cells(x: Tensor, scale: int) -> Tensor:
    """Apply ``adaptive_avg_pool2d`` to (N, C, scale, scale).

    Exporters do not support this operation if the size is left open. During export, two matrix
    products compute the means of the cells instead.
    """
    if not is_exporting():
        # On CUDA, pooling a channels-last map to few cells takes longer than the whole backbone.
        return F.adaptive_avg_pool2d(x.contiguous() if x.is_cuda else x, scale)
    rows, columns = _cell_means(x, scale, 2), _cell_means(x, scale, 3)
    return rows @ x @ columns.transpose(0, 1)


def _cell_means(x: Tensor, scale: int, dim: int) -> Tensor:
    """Make a matrix (scale, length of ``dim``) whose row i averages cell i of that dimension."""
    length = x.shape[dim]
    position = torch.arange(length, device=x.device)
    cell = torch.arange(scale, device=x.device)[:, None]
    # Cell i covers floor(i * length / scale) up to, not including, ceil((i + 1) * length / scale).
    inside = (position >= cell * length // scale) & (
        position < ((cell + 1) * length + scale - 1) // scale
    )
    inside = inside.to(x.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


class BatchOnePPM(PPM):
    """mmseg's ``PPM`` that can also be trained with a single image.

    One image, pooled to 1x1, has one value per channel, which has no variance. In training, batch
    normalization then uses its running estimates instead of raising. Instance normalization over
    one value gives its bias, or zero, where torch raises.
    """

    def forward(self, x: Tensor) -> 'list[Tensor]':
        """Compute maps (N, channels, H, W), pooled, projected and upsampled, one per pool scale."""
        pooled = [self._pool(stage, scale, x) for stage, scale in zip(self, self.pool_scales)]
        # The warning of mmseg's `resize` about sizes would break the graph of torch.compile.
        return [resize(p, x.shape[2:], self.align_corners) for p in pooled]

    def _pool(self, stage: nn.Sequential, scale: int, x: Tensor) -> Tensor:
        pooled = pool_to_cells(x, scale)
        conv: Any = stage[1]
        norm = conv.norm
        if scale == 1 and isinstance(norm, _InstanceNorm) and not norm.track_running_stats:
            # The value is its own mean. The product with zero keeps the gradients of the weights.
            normalized = 0 * conv.conv(pooled)
            if norm.affine:
                normalized = normalized * norm.weight[:, None, None] + norm.bias[:, None, None]
            return conv.activate(normalized) if conv.with_activation else normalized
        # SyncBN also uses the values of the other processes.
        is_local = get_world_size() == 1 or not any(map(is_synced, stage.modules()))
        if not (self.training and x.shape[0] == 1 and scale == 1 and is_local):
            return conv(pooled)
        conv.eval()
        try:
            return conv(pooled)
        finally:
            conv.train()


@MODELS.register_module()
class PyramidContext(BaseModule):
    """Pyramid pooling (PPM), its form with sums (SPPM), or a plain 1x1 projection.

    ``'ppm'`` pools to 1, 2, 3 and 6 cells, projects each by 1x1 convolution and BN *without* ReLU,
    concatenates them before the input and projects by 1x1 convolution, BN and ReLU. ``'sppm'``
    pools to 1, 2 and 4 cells and adds the projections to one of the input. Dropout follows both.

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Output channels.
        mode: ``'ppm'``, ``'sppm'`` or ``'none'``.
        pool_scales: Cells per side; None takes those of ``mode``.
        dropout_ratio: Ratio of the channel dropout at the end.
        norm_cfg: Normalization layers; None leaves them out.
        act_cfg: Activation after the last projection; None leaves it out.
        align_corners: ``align_corners`` of the upsampling.
        conv_cfg: Convolution layers; None gives plain ones.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: ``mode`` is unknown.
    """

    default_scales: dict[str, Sequence[int]] = dict(ppm=(1, 2, 3, 6), sppm=(1, 2, 4), none=())

    def __init__(
        self,
        in_channels: int,
        channels: int,
        mode: str = 'ppm',
        pool_scales: Sequence[int] | None = None,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        align_corners: bool = True,
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice('PyramidContext', self.default_scales, mode=mode)
        self.mode = mode
        self.channels = channels
        scales = self.default_scales[mode] if pool_scales is None else tuple(sorted(pool_scales))
        bottleneck_in = in_channels
        if mode != 'none':
            self.stages = BatchOnePPM(
                scales, in_channels, channels, conv_cfg, norm_cfg, None, align_corners
            )
        if mode == 'ppm':
            bottleneck_in += len(scales) * channels
        elif mode == 'sppm':
            self.project = ConvModule(
                in_channels, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None
            )
            bottleneck_in = channels
        self.bottleneck = ConvModule(
            bottleneck_in, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.dropout = nn.Dropout2d(dropout_ratio) if mode != 'none' else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        if self.mode == 'ppm':
            x = torch.cat([*self.stages(x), x], dim=1)
        elif self.mode == 'sppm':
            x = self.project(x) + sum(self.stages(x))
        return self.dropout(self.bottleneck(x))

    def inference_form(self, rearrange: bool) -> nn.Module | None:
        """Return this module with fewer operations; see :func:`sfnet_mm.deploy.optimize`."""
        convs = (m for m in self.modules() if isinstance(m, ConvModule))
        return InferenceContext(self) if all(map(is_plain, convs)) else None


class InferenceContext(nn.Module):
    """``PyramidContext`` whose projections run on the pooled cells, before they are upsampled.

    Args:
        context: The trained module with folded batch normalization.
    """

    def __init__(self, context: PyramidContext) -> None:
        super().__init__()
        conv = context.bottleneck.conv
        weight = conv.weight.double()
        parts = list(weight.split(context.channels, dim=1))
        stages = list(context.stages) if context.mode != 'none' else []
        self.scales = tuple(context.stages.pool_scales) if stages else ()
        if context.mode == 'sppm':
            parts = [weight] * len(stages)
            own = compose(weight, context.project.conv)
            bias = weight[:, :, 0, 0] @ bias_of(context.project.conv)
        else:
            own = weight[:, len(stages) * context.channels :]
            bias = torch.zeros_like(weight[:, 0, 0, 0])
        self.pooled = nn.ModuleList()
        for part, (_, stage) in zip(parts, stages):
            self.pooled.append(make_conv(compose(part, stage.conv), None, conv))
            # The weights of bilinear interpolation sum to one, so the bias can be added afterward.
            bias = bias + part[:, :, 0, 0] @ bias_of(stage.conv)
        self.own = make_conv(own, bias + bias_of(conv), conv)
        self.activate = activation(context.bottleneck)
        self.align_corners = getattr(context.stages, 'align_corners', True) if stages else True

    def forward(self, x: Tensor) -> Tensor:
        """Compute the context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        out = self.own(x)
        for scale, conv in zip(self.scales, self.pooled):
            cells = conv(pool_to_cells(x, scale))
            if scale > 1:
                cells = resize(cells, x.shape[2:], self.align_corners)
            out = out + cells
        return self.activate(out)
