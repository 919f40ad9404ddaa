"""The layers of SFNet and SFNet-Lite, rearranged for inference; each computes the same function.

The identities they use are those of :mod:`sfnet_mm.models.layers.rearranged_convs`.
"""

import math

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from torch import Tensor

from sfnet_mm.models.layers import (
    FlowAlignmentModule,
    GatedDualFlowAlignmentModule,
    PyramidContext,
)
from sfnet_mm.models.layers.pyramid_context import pool_to_cells
from sfnet_mm.models.layers.rearranged_convs import (
    RowConv2d,
    TapConv2d,
    compose,
    make_conv,
    padded_kernel,
    upsample,
)
from sfnet_mm.ops import flow_warp, gated_dual_flow_warp
from sfnet_mm.ops.exporting import is_exporting


def is_plain(module: ConvModule) -> bool:
    """Whether a convolution runs without normalization: it was folded, or there was none."""
    return module.norm is None or isinstance(module.norm, nn.Identity)


def activation(module: ConvModule) -> nn.Module:
    """The activation of a ``ConvModule``; an identity where it has none."""
    return module.activate if module.with_activation else nn.Identity()


def bias_of(conv: nn.Conv2d) -> Tensor:
    """The bias in float64, zeros where there is none."""
    weight = conv.weight
    return (
        weight.new_zeros(len(weight), dtype=torch.float64)
        if conv.bias is None
        else conv.bias.double()
    )


class InferenceContext(nn.Module):
    """``PyramidContext`` whose projections run on the pooled cells, before they are upsampled.

    Args:
        context: With folded batch normalization.
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
            # The weights of bilinear interpolation sum to one: a bias can be added afterwards.
            bias = bias + part[:, :, 0, 0] @ bias_of(stage.conv)
        self.own = make_conv(own, bias + bias_of(conv), conv)
        self.activate = activation(context.bottleneck)
        self.align_corners = getattr(context.stages, 'align_corners', True) if stages else True

    def forward(self, x: Tensor) -> Tensor:
        """Context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        out = self.own(x)
        for scale, conv in zip(self.scales, self.pooled):
            cells = conv(pool_to_cells(x, scale))
            if scale > 1:
                cells = upsample(cells, x.shape[2:], self.align_corners)
            out = out + cells
        return self.activate(out)


class InferenceFAM(nn.Module):
    """``FlowAlignmentModule`` without the half-width maps.

    Args:
        fam: The trained module.
    """

    def __init__(self, fam: FlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = fam.flow_make.weight.chunk(2, dim=1)
        align_corners = fam.upsample.align_corners
        self.flow_high = TapConv2d(compose(from_high, fam.down_h), fam.flow_make, align_corners)
        self.flow_low = TapConv2d(compose(from_low, fam.down_l), fam.flow_make)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """``high`` (N, C, h, w) warped to the size of ``low`` (N, C, H, W)."""
        size = low.shape[2:]
        return flow_warp(high, self.flow_high(high, size) + self.flow_low(low, size))


def channel_max(x: Tensor) -> Tensor:
    """Maximum over channels, (N, 1, H, W)."""
    if not is_exporting() or is_exporting('openvino'):
        return x.amax(1, keepdim=True)
    # ONNX Runtime is slow at many channels.
    groups = math.gcd(x.shape[1], 8)
    parts = x.reshape(-1, x.shape[1] // groups, *x.shape[2:]).amax(1)
    return parts.reshape(-1, groups, *x.shape[2:]).amax(1, keepdim=True)


class InferenceGDFAM(nn.Module):
    """``GatedDualFlowAlignmentModule`` with its attention gate, without concatenated maps.

    The part of the gate that comes from means over channels is linear in the maps, so the flow
    convolution computes it as a fifth output. Only for its maximum does the gate still need the
    coarse half-width map at full size.

    Args:
        module: The trained module, with ``gate='attention'`` or None.
    """

    def __init__(self, module: GatedDualFlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = module.flow_make.weight.chunk(2, dim=1)
        high, low = compose(from_high, module.down_h), compose(from_low, module.down_l)
        self.gated = module.gate is not None
        if self.gated:
            weight = module.flow_gate.weight.double()
            size = max(weight.shape[-1], high.shape[-1])
            mean_high, mean_low, largest = weight.split([1, 1, 2], dim=1)
            mean_high = mean_high * module.down_h.weight.double().mean(0)[None]
            mean_low = (mean_low / module.channels).expand(-1, module.channels, -1, -1)
            high = torch.cat([padded_kernel(w, size) for w in (high, mean_high)])
            low = torch.cat([padded_kernel(w, size) for w in (low, mean_low)])
            self.down_h = module.down_h
            self.gate_of_largest = make_conv(largest, None, module.flow_gate)
        self.align_corners = module.upsample.align_corners
        self.from_high = TapConv2d(high, module.flow_make, self.align_corners)
        self.from_low = RowConv2d(low, module.flow_make)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        size = low.shape[2:]
        flow = self.from_high(high, size) + self.from_low(low)
        if not self.gated:
            return gated_dual_flow_warp(high, low, flow)
        flow, gate = flow.split([4, 1], dim=1)
        largest_high = channel_max(upsample(self.down_h(high), size, self.align_corners))
        largest = torch.cat([largest_high, channel_max(low)], dim=1)
        gate = (gate + self.gate_of_largest(largest)).sigmoid()
        return gated_dual_flow_warp(high, low, flow, gate)


class InferenceFusion(nn.Module):
    """3x3 convolution over maps of several resolutions, upsampled to the finest and concatenated.

    Args:
        conv: Of the concatenated maps, each of ``conv.in_channels / levels`` channels.
        levels: How many maps.
        activate: Runs on the result.
        align_corners: Of the upsampling.
    """

    def __init__(
        self, conv: nn.Conv2d, levels: int, activate: nn.Module, align_corners: bool = True
    ) -> None:
        super().__init__()
        finest, *coarser = conv.weight.chunk(levels, dim=1)
        self.finest = make_conv(finest, conv.bias, conv)
        self.coarser = nn.ModuleList(TapConv2d(weight, conv, align_corners) for weight in coarser)
        self.activate = activate

    def forward(self, finest: Tensor, *coarser: Tensor) -> Tensor:
        """Maps from fine to coarse to (N, channels, H, W) at the size of the first."""
        size = finest.shape[2:]
        out = self.coarser[0](coarser[0], size)
        for conv, x in zip(self.coarser[1:], coarser[1:]):
            out += conv(x, size)
        # Last, so that runtimes add and activate in the pass of the largest convolution.
        out += self.finest(finest)
        return self.activate(out)
