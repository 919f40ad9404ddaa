"""The context module on top of the backbone.

Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105, as SFNet uses it (SFNet paper,
section 3.3; authors' ``PSPModule`` and ``SPSPModule``).
"""

from typing import Dict, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from mmseg.models.decode_heads.psp_head import PPM
from mmseg.registry import MODELS
from torch import Tensor


def is_synced(module: nn.Module) -> bool:
    """Whether a layer normalises over the processes."""
    return 'SyncB' in type(module).__name__


class _BatchOnePPM(PPM):
    """mmseg's ``PPM`` that can train on a batch of one image.

    Pooled to 1x1, one image leaves one value per channel, which has no variance: batch
    normalization then uses its running estimates instead of raising.
    """

    def forward(self, x: Tensor) -> 'list[Tensor]':
        """Pooled, projected and upsampled maps (N, channels, H, W), one for each pool scale."""
        pooled = [self._pool(stage, scale, x) for stage, scale in zip(self, self.pool_scales)]
        # Not mmseg's `resize`, whose warning about sizes breaks the graph of torch.compile.
        return [
            F.interpolate(p, x.shape[2:], mode='bilinear', align_corners=self.align_corners)
            for p in pooled
        ]

    def _pool(self, stage: nn.Module, scale: int, x: Tensor) -> Tensor:
        # SyncBN sees the values of the other processes too.
        alone = get_world_size() == 1 or not any(map(is_synced, stage.modules()))
        if not (self.training and x.shape[0] == 1 and scale == 1 and alone):
            return stage(x)
        stage.eval()
        try:
            return stage(x)
        finally:
            stage.train()


@MODELS.register_module()
class PyramidContext(BaseModule):
    """Pyramid pooling (PPM), its summing form (SPPM), or a plain 1x1 projection.

    ``'ppm'`` pools to 1, 2, 3 and 6 cells, projects each by 1x1 convolution and BN *without* ReLU,
    concatenates them before the input and projects by 1x1 convolution, BN and ReLU. ``'sppm'``
    pools to 1, 2 and 4 cells and adds the projections to one of the input. Dropout follows both.

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Output channels.
        mode: ``'ppm'``, ``'sppm'`` or ``'none'``.
        pool_scales: Cells per side; None takes those of ``mode``.
        dropout_ratio: Of the channel dropout at the end.
        norm_cfg: Normalization layers.
        act_cfg: Activation after the last projection.
        align_corners: Of the upsampling.
        init_cfg: As in ``BaseModule``.

    Raises:
        ValueError: Unknown ``mode``.
    """

    default_scales: Dict[str, Sequence[int]] = dict(ppm=(1, 2, 3, 6), sppm=(1, 2, 4), none=())

    def __init__(
        self,
        in_channels: int,
        channels: int,
        mode: str = 'ppm',
        pool_scales: Optional[Sequence[int]] = None,
        dropout_ratio: float = 0.1,
        norm_cfg: Optional[Dict] = None,
        act_cfg: Optional[Dict] = None,
        align_corners: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if mode not in self.default_scales:
            raise ValueError(
                f'PyramidContext: mode={mode!r} is not one of {", ".join(self.default_scales)}'
            )
        self.mode = mode
        self.channels = channels
        norm_cfg = norm_cfg or dict(type='BN')
        act_cfg = act_cfg or dict(type='ReLU')
        scales = self.default_scales[mode] if pool_scales is None else tuple(sorted(pool_scales))
        bottleneck_in = in_channels
        if mode != 'none':
            self.stages = _BatchOnePPM(
                scales, in_channels, channels, None, norm_cfg, None, align_corners
            )
        if mode == 'ppm':
            bottleneck_in += len(scales) * channels
        elif mode == 'sppm':
            self.project = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            bottleneck_in = channels
        self.bottleneck = ConvModule(bottleneck_in, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.dropout = nn.Dropout2d(dropout_ratio) if mode != 'none' else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        if self.mode == 'ppm':
            x = torch.cat([*self.stages(x), x], dim=1)
        elif self.mode == 'sppm':
            x = self.project(x) + sum(self.stages(x))
        return self.dropout(self.bottleneck(x))
