"""The decoder of Bi-Align, a baseline of SFNet: it aligns two paths to each other.

Fast and Accurate Scene Parsing via Bi-direction Alignment Networks (ICIP 2021,
https://arxiv.org/abs/2105.11651, section 2; authors' ``AlignedModule`` with ``SimpleGate``).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import flow_warp
from sfnet_mm.ops.exporting import linspace

from ..layers.build import build_context
from ..layers.flow_alignment import FlowAlignmentModule
from ..layers.upsampling import resize
from ..necks.aligned_fpn import check_maps


def flow_of_pixel_edges(flow: Tensor, height: int, width: int) -> Tensor:
    """Convert a flow for sampling with ``align_corners=False`` to one for :func:`flow_warp`.

    Bi-Align adds its flow to a grid from -1 to 1, as SFNet does, but -1 and 1 are the outer edges
    of the map, so that even a zero flow enlarges it slightly.

    Args:
        flow: (N, 2, H, W), x then y, in 1/W and 1/H of the normalized side.
        height: Number of rows of the sampled map, at least 2.
        width: Number of columns of the sampled map, at least 2.

    Returns:
        Tensor: (N, 2, H, W), in the unit of :func:`flow_warp`.
    """
    rows, columns = flow.shape[2:]
    xs = linspace(-1, 1, columns, dtype=flow.dtype, device=flow.device)
    ys = linspace(-1, 1, rows, dtype=flow.dtype, device=flow.device)
    x = (columns * xs + width * flow[:, 0]) / (width - 1)
    y = (rows * ys[:, None] + height * flow[:, 1]) / (height - 1)
    return torch.stack([x, y], dim=1)


class GatedFlowAlignment(FlowAlignmentModule):
    """A FAM that scales its flow by a gate and can warp either of its two maps.

    Args:
        channels: Channels of both maps.
        align_corners: ``align_corners`` of the upsampling of the coarse map and of the gate.
    """

    def __init__(self, channels: int, align_corners: bool = True) -> None:
        super().__init__(channels, align_corners=align_corners)
        self.gate = nn.Conv2d(channels, 2, 1)

    def forward(self, low: Tensor, high: Tensor, warp_low: bool = False) -> Tensor:
        """Warp ``high``, or with ``warp_low`` the fine map ``low``, to the grid of ``low``."""
        source = low if warp_low else high
        gate = resize(self.gate(source).sigmoid(), low.shape[2:], self.upsample.align_corners)
        flow = self.predict_flow(low, high) * gate
        return flow_warp(source, flow_of_pixel_edges(flow, *source.shape[2:]))


@MODELS.register_module()
class BiAlignHead(BaseDecodeHead):
    """Warps the context map and the spatial map to the grid of the spatial map, and fuses both.

    A pixel shuffle instead of interpolation gives logits of full resolution.

    Args:
        in_channels: Channels of the spatial and of the context map.
        channels: Width of the classifier.
        in_index: Indices of these maps in the backbone's output.
        width: Channels of the spatial map, to which the context is projected.
        context: Context module on the context map.
        upsample_factor: Stride of the spatial map.
        norm_cfg: Normalization layers.
        dropout_ratio: Ratio of the dropout before the classifier.
        align_corners: ``align_corners`` of all bilinear upsampling.
        **kwargs: Arguments of ``mmseg.BaseDecodeHead``.

    Raises:
        ValueError: In ``forward``, maps have other channels than ``in_channels``, or are not
            ordered from fine to coarse.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 512),
        channels: int = 256,
        *,
        in_index: Sequence[int] = (0, 1),
        width: int = 128,
        context: dict = dict(type='mmseg.PyramidContext'),
        upsample_factor: int = 8,
        norm_cfg: dict = dict(type='BN'),
        dropout_ratio: float = 0,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        self.upsample_factor = upsample_factor
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        self.ppm = build_context(
            context,
            in_channels=in_channels[-1],
            channels=width,
            align_corners=align_corners,
            **layers,
        )
        self.align_context = GatedFlowAlignment(width, align_corners)
        self.align_spatial = GatedFlowAlignment(width, align_corners)
        self.conv_last = ConvModule(2 * width, channels, 3, padding=1, **layers)
        self.conv_seg = nn.Conv2d(channels, self.out_channels * upsample_factor**2, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, 8 H, 8 W) for a spatial map of (H, W)."""
        inputs = self._transform_inputs(inputs)
        check_maps(type(self).__name__, inputs, self.in_channels)
        spatial, context = inputs[0], self.ppm(inputs[1])
        aligned = [
            self.align_context(spatial, context),
            self.align_spatial(spatial, context, warp_low=True),
        ]
        x = self.cls_seg(self.conv_last(torch.cat(aligned, dim=1)))
        return F.pixel_shuffle(x, self.upsample_factor)
