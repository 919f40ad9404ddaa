"""The layers of SFNet and SFNet-Lite, rearranged for inference; each computes the same function.

The identities they use are those of :mod:`sfnet_mm.deploy.rearranged_convs`.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.models.layers import (
    FlowAlignmentModule,
    GatedDualFlowAlignmentModule,
    PyramidContext,
)
from sfnet_mm.ops import flow_warp, gated_dual_flow_warp
from sfnet_mm.ops.exporting import is_exporting

from .rearranged_convs import RowConv2d, TapConv2d, compose, make_conv, padded_kernel, upsample


def pool_to_cells(x: Tensor, scale: int) -> Tensor:
    """``adaptive_avg_pool2d`` to (N, C, scale, scale), which exporters cannot write for any size.

    During export, the mean over the cells is written as a product with two matrices.
    """
    if not is_exporting():
        # Of channels-last maps, CUDA's pooling to few cells is slower than the whole backbone.
        return F.adaptive_avg_pool2d(x.contiguous() if x.is_cuda else x, scale)
    rows, columns = _cell_means(x, scale, 2), _cell_means(x, scale, 3)
    return rows @ x @ columns.transpose(0, 1)


def _cell_means(x: Tensor, scale: int, dim: int) -> Tensor:
    """(scale, length of ``dim``): row i has the mean over cell i of that dimension."""
    length = x.shape[dim]
    position = torch.arange(length, device=x.device)
    cell = torch.arange(scale, device=x.device)[:, None]
    # Cell i covers floor(i * length / scale) up to, not including, ceil((i + 1) * length / scale).
    inside = (position >= cell * length // scale) & (
        position < ((cell + 1) * length + scale - 1) // scale
    )
    inside = inside.to(x.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


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
            bias = weight[:, :, 0, 0] @ context.project.conv.bias.double()
        else:
            own = weight[:, len(stages) * context.channels :]
            bias = torch.zeros_like(weight[:, 0, 0, 0])
        self.pooled = nn.ModuleList()
        for part, (_, stage) in zip(parts, stages):
            self.pooled.append(make_conv(compose(part, stage.conv), None, conv))
            # The weights of bilinear interpolation sum to one: a bias can be added afterwards.
            bias = bias + part[:, :, 0, 0] @ stage.conv.bias.double()
        self.own = make_conv(own, bias + conv.bias.double(), conv)
        self.activate = context.bottleneck.activate

    def forward(self, x: Tensor) -> Tensor:
        """Context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        out = self.own(x)
        for scale, conv in zip(self.scales, self.pooled):
            cells = conv(pool_to_cells(x, scale))
            out = out + (cells if scale == 1 else upsample(cells, x.shape[2:]))
        return self.activate(out)


class InferenceFAM(nn.Module):
    """``FlowAlignmentModule`` without the half-width maps.

    Args:
        fam: The trained module.
    """

    def __init__(self, fam: FlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = fam.flow_make.weight.chunk(2, dim=1)
        self.flow_high = TapConv2d(compose(from_high, fam.down_h), fam.flow_make)
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
        self.from_high = TapConv2d(high, module.flow_make)
        self.from_low = RowConv2d(low, module.flow_make)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        size = low.shape[2:]
        flow = self.from_high(high, size) + self.from_low(low)
        if not self.gated:
            return gated_dual_flow_warp(high, low, flow)
        flow, gate = flow.split([4, 1], dim=1)
        largest_high = channel_max(upsample(self.down_h(high), size))
        largest = torch.cat([largest_high, channel_max(low)], dim=1)
        gate = (gate + self.gate_of_largest(largest)).sigmoid()
        return gated_dual_flow_warp(high, low, flow, gate)


class InferenceFusion(nn.Module):
    """3x3 convolution over maps of several resolutions, upsampled to the finest and concatenated.

    Args:
        conv: Of the concatenated maps, each of ``conv.in_channels / levels`` channels.
        levels: How many maps.
        activate: Runs on the result.
    """

    def __init__(self, conv: nn.Conv2d, levels: int, activate: nn.Module) -> None:
        super().__init__()
        finest, *coarser = conv.weight.chunk(levels, dim=1)
        self.finest = make_conv(finest, conv.bias, conv)
        self.coarser = nn.ModuleList(TapConv2d(weight, conv) for weight in coarser)
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
