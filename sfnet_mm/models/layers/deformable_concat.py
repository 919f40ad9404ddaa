"""Deformable convolution of both maps, which the paper compares with FAM and GD-FAM.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
Tables 9d and 16; Deformable Convolutional Networks, https://arxiv.org/abs/1703.06211.
"""

import torch
import torch.nn as nn
from mmengine.model import BaseModule, constant_init
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_odd

from .deformable_alignment import deform_conv, uses_mmcv
from .upsampling import UpsampleTo


@MODELS.register_module()
class DeformableConcatAlignment(BaseModule):
    """Concatenates the fine map and the upsampled coarse map for one deformable convolution.

    Its result replaces the map that FAM warps: the decoder adds the fine map to it.

    Args:
        channels: Channels of both maps.
        kernel_size: Kernel of the deformable convolution and of the one that predicts its offsets.
        backend: ``'native'`` (plain torch), ``'mmcv'`` (its compiled operator) or ``'auto'``, which
            takes mmcv's if it is there.
        align_corners: ``align_corners`` of the bilinear upsampling of the coarse map.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: The kernel is even, or ``backend`` is unknown.
        ModuleNotFoundError: ``backend`` is ``'mmcv'``, and the compiled mmcv is not installed.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        backend: str = 'auto',
        align_corners: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_odd('DeformableConcatAlignment', kernel_size=kernel_size)
        self.use_mmcv = uses_mmcv('DeformableConcatAlignment', backend)
        self.upsample = UpsampleTo(channels, 'bilinear', align_corners)
        self.offset = nn.Conv2d(
            2 * channels, 2 * kernel_size**2, kernel_size, padding=kernel_size // 2
        )
        self.weight = nn.Parameter(torch.empty(channels, 2 * channels, kernel_size, kernel_size))
        self._init_as_plain_convolution()

    def _init_as_plain_convolution(self) -> None:
        constant_init(self.offset, 0)
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def init_weights(self) -> None:
        """Initialize as a plain convolution: all offsets are zero."""
        super().init_weights()
        self._init_as_plain_convolution()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align ``high`` (N, C, h, w) to ``low`` (N, C, H, W); returns (N, C, H, W)."""
        both = torch.cat([low, self.upsample(high, low)], dim=1)
        return deform_conv(both, self.offset(both), self.weight, self.use_mmcv)
