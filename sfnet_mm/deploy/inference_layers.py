"""The layers of SFNet and SFNet-Lite, rearranged for inference; each computes the same function.

Three identities are used. A chain of convolutions without activation is one convolution. A 1x1
convolution and a bilinear upsampling can change places. A kxk convolution is a 1x1 convolution to
k * k times the channels, whose parts are then shifted and added; so a kxk convolution of an
upsampled map can do its multiplications on the small map (:class:`TapConv2d`).
"""

from typing import Optional, Tuple

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

Size = Tuple[int, int]


def upsample(x: Tensor, size: Size) -> Tensor:
    """Bilinear upsampling with ``align_corners=True``, as everywhere in the decoder."""
    return F.interpolate(x, size=size, mode='bilinear', align_corners=True)


def make_conv(weight: Tensor, bias: Optional[Tensor], like: nn.Conv2d) -> nn.Conv2d:
    """A convolution of stride 1 that keeps the size, in the dtype and on the device of another."""
    out_channels, in_channels, kernel, _ = weight.shape
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        padding=kernel // 2,
        bias=bias is not None,
        device=like.weight.device,
        dtype=like.weight.dtype,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if bias is not None:
            conv.bias.copy_(bias)
    return conv


def compose(outer: Tensor, inner: nn.Conv2d) -> Tensor:
    """Weight of ``outer`` applied to the output of a 1x1 convolution, composed in float64."""
    return torch.einsum('omyx,mc->ocyx', outer.double(), inner.weight[:, :, 0, 0].double())


def pool_to_cells(x: Tensor, scale: int) -> Tensor:
    """``adaptive_avg_pool2d`` to (N, C, scale, scale), which exporters cannot write for any size.

    During export, the mean over the cells is written as a product with two matrices.
    """
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(x, scale)
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


class TapConv2d(nn.Module):
    """kxk convolution, zero padded, of a bilinearly upsampled map, multiplying before upsampling.

    Rows are upsampled and their k shifts added, then columns. Exact, and for a map of a quarter of
    the side it takes about a third of the time on a CPU, where the multiplications are what costs.

    Args:
        weight: (O, C, k, k).
        like: The convolution that the weight comes from (dtype and device).
    """

    def __init__(self, weight: Tensor, like: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels, in_channels, self.kernel, _ = weight.shape
        taps = weight.permute(2, 3, 0, 1).reshape(-1, in_channels, 1, 1)
        self.taps = make_conv(taps, None, like)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Map (N, C, h, w) to (N, O, H, W); ``size`` is (H, W)."""
        z = self.taps(x)
        if z.shape[2] != size[0]:
            z = upsample(z, (size[0], z.shape[3]))
        z = self._add_shifted(z, dim=2)
        if z.shape[3] != size[1]:
            z = upsample(z, size)
        return self._add_shifted(z, dim=3)

    def _add_shifted(self, z: Tensor, dim: int) -> Tensor:
        """Sum of the k groups of channels, group i read at an offset of ``i - k // 2``."""
        groups = z.chunk(self.kernel, dim=1)
        centre = self.kernel // 2
        total = groups[centre].clone()
        length = z.shape[dim]
        for i, group in enumerate(groups):
            offset = i - centre
            kept = length - abs(offset)
            if offset == 0 or kept < 1:
                continue
            target = total.narrow(dim, max(0, -offset), kept)
            target.add_(group.narrow(dim, max(0, offset), kept))
        return total


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


class InferenceGDFAM(nn.Module):
    """``GatedDualFlowAlignmentModule`` with its attention gate, without concatenated maps.

    Only the gate still needs the coarse half-width map at full size, for its maximum.

    Args:
        module: The trained module, with ``gate='attention'`` or None.
    """

    def __init__(self, module: GatedDualFlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = module.flow_make.weight.chunk(2, dim=1)
        self.flow_high = TapConv2d(compose(from_high, module.down_h), module.flow_make)
        self.flow_low = TapConv2d(compose(from_low, module.down_l), module.flow_make)
        self.gated = module.gate is not None
        if self.gated:
            self.down_h, self.flow_gate = module.down_h, module.flow_gate

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        size = low.shape[2:]
        flow = self.flow_high(high, size) + self.flow_low(low, size)
        return gated_dual_flow_warp(high, low, flow, self._gate(low, high) if self.gated else None)

    def _gate(self, low: Tensor, high: Tensor) -> Tensor:
        half = self.down_h(high)
        mean = upsample(half.mean(1, keepdim=True), low.shape[2:])
        largest = upsample(half, low.shape[2:]).amax(1, keepdim=True)
        pooled = [mean, low.mean(1, keepdim=True), largest, low.amax(1, keepdim=True)]
        return self.flow_gate(torch.cat(pooled, dim=1)).sigmoid()


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
        out = self.finest(finest)
        for conv, x in zip(self.coarser, coarser):
            out += conv(x, finest.shape[2:])
        return self.activate(out)
