"""Upsampling by sampling at learned positions, in place of FAM.

Learning to Upsample by Learning to Sample, https://arxiv.org/abs/2308.15085, section 3 (authors'
``DySample``, style ``'lp'``: a linear layer, then a pixel shuffle).
"""

import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, constant_init, normal_init
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops.native import working_dtype
from sfnet_mm.utils.arguments import check_least

from .sampling import sample_by_offsets
from .upsampling import resize


@MODELS.register_module()
class DySampleAlignment(BaseModule):
    """Samples the coarse map bilinearly at offsets that a 1x1 convolution predicts from it alone.

    Each group of channels has its own offsets. They are predicted for ``scale_factor`` times the
    size of the coarse map, and resized bilinearly for any other size. Without offsets this is
    bilinear upsampling of ``align_corners=False``. Positions outside of the map are moved to its
    border.

    The style ``'pl'`` of the paper, which shuffles pixels first, is left out: at a ratio of 8 it
    would predict from 1/64 of the channels.

    Args:
        channels: Channels of both maps.
        scale_factor: Ratio of sizes for which offsets are predicted: 2 in SFNet, 8 in SFNet-Lite.
        groups: Number of groups, which must divide ``channels``.
        dynamic_scope: Whether the range of the offsets is predicted, too (``DySample+``). If not,
            the range is a quarter.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: ``groups`` does not divide ``channels``, or ``scale_factor`` is below 1.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        scale_factor: int = 2,
        groups: int = 4,
        dynamic_scope: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if groups < 1 or channels % groups:
            raise ValueError(f'DySampleAlignment: groups={groups} must divide channels={channels}')
        check_least('DySampleAlignment', 1, scale_factor=scale_factor)
        self.scale_factor, self.groups = scale_factor, groups
        width = 2 * groups * scale_factor**2
        self.offset = nn.Conv2d(channels, width, 1)
        normal_init(self.offset, std=0.001)
        self.scope = nn.Conv2d(channels, width, 1) if dynamic_scope else None
        if self.scope is not None:
            constant_init(self.scope, 0)

    def predict_offsets(self, low: Tensor, high: Tensor) -> Tensor:
        """Predict offsets (N, 2, groups, H, W), x then y, in pixels of ``high``."""
        offset = self.offset(high).to(working_dtype(high))
        if self.scope is None:
            offset = offset * 0.25
        else:
            offset = offset * self.scope(high).to(offset.dtype).sigmoid() * 0.5
        offset = resize(
            F.pixel_shuffle(offset, self.scale_factor), low.shape[2:], align_corners=False
        )
        return offset.unflatten(1, (2, self.groups))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Upsample ``high`` (N, C, h, w) to the size of ``low`` (N, C, H, W), which is not read."""
        return sample_by_offsets(high, self.predict_offsets(low, high))
