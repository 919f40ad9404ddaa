"""The semantic flow warp in plain torch, which is the ``native`` backend and the exported form.

:mod:`sfnet_mm.ops.flow_warp` defines shapes, conventions and the unit of the flow.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting, linspace
from .row_sums import has_rows, is_channels_last, sum_of_rows

# A normalized coordinate of this size is at least a full pixel outside of every map, where zero
# padding makes the sample and its gradients zero.
_FAR_OUTSIDE = 4.0
# The numbers of channel groups that make the warp fastest in torch on a CPU and in OpenVINO.
_CHANNEL_GROUPS_CPU, _CHANNEL_GROUPS_OPENVINO = 16, 8


def working_dtype(x: Tensor) -> torch.dtype:
    """The dtype of positions and sums for a map ``x``."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def warp(x: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute ``flow_warp`` in plain torch; the result stays in ``dtype``.

    Half precision is converted and not passed to ``grid_sample``: a grid in half precision is
    off by up to a pixel, and torch's half-precision CPU kernel is wrong on maps of more than 32767
    elements.
    """
    x, flow = x.to(dtype), flow.to(dtype)
    if has_rows(x):
        return sum_of_rows((x, flow))
    grid = _sampling_grid(x, flow)
    shape = (*x.shape[:2], *grid.shape[1:3])
    x, grid = _split_channels(x, grid)
    out = F.grid_sample(x, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    return out.reshape(shape)


def gated_dual_warp(
    high: Tensor, low: Tensor, flow: Tensor, gate: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Compute ``gated_dual_flow_warp`` in plain torch; the result stays in ``dtype``."""
    if gate is None:
        return warp(high, flow[:, :2], dtype) + warp(low, flow[:, 2:], dtype)
    high, low, flow, gate = (x.to(dtype) for x in (high, low, flow, gate))
    if has_rows(high) and has_rows(low):
        return sum_of_rows((high, flow[:, :2], gate), (low, flow[:, 2:], 1 - gate))
    high, low = warp(high, flow[:, :2], dtype), warp(low, flow[:, 2:], dtype)
    if is_exporting():
        # An exported lerp is a choice between two formulas, of four passes each.
        return low + gate * (high - low)
    return torch.lerp(low, high, gate)


def _sampling_grid(x: Tensor, flow: Tensor) -> Tensor:
    """Compute where to sample ``x`` (N, C, h, w): (N, H, W, 2) for ``align_corners=False``.

    In these coordinates the centers of the corner pixels are at ``1 - 1 / w`` instead of 1. ONNX
    Runtime has a fast sampler only for this convention. On a side of one pixel, every finite
    position is that pixel.
    """
    height, width = flow.shape[-2:]
    dtype, device = flow.dtype, flow.device
    reach_x, reach_y = ((side - 1) / side for side in (x.shape[-1], x.shape[-2]))
    columns = linspace(-reach_x, reach_x, width, dtype=dtype, device=device)
    rows = linspace(-reach_y, reach_y, height, dtype=dtype, device=device)
    centers = torch.stack((columns.expand(height, -1), rows[:, None].expand(-1, width)))
    units = linspace(reach_x / width, reach_y / height, 2, dtype=dtype, device=device)
    grid = centers + flow * units.view(2, 1, 1)
    # The comparison is also false for NaN, and keeps huge numbers from overflowing an index.
    grid = torch.where(grid.abs() < _FAR_OUTSIDE, grid, _FAR_OUTSIDE)
    # The planes are interleaved last, so that a rewriter of the graph finds both.
    return grid.permute(0, 2, 3, 1).contiguous()


def _split_channels(x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Treat groups of channels as separate images if that is faster.

    Torch samples an image on one core of the CPU. OpenVINO reads all channels of a position before
    the next position; so many maps do not fit a cache, and it takes up to three times as long. ONNX
    Runtime is fastest with all channels together.
    """
    if is_exporting():
        wanted = _CHANNEL_GROUPS_OPENVINO if is_exporting('openvino') else 1
    else:
        wanted = _CHANNEL_GROUPS_CPU if x.device.type == 'cpu' else 1
    groups = math.gcd(x.shape[1], wanted)
    if groups == 1:
        return x, grid
    grid = grid[:, None].expand(-1, groups, -1, -1, -1)
    return x.reshape(-1, x.shape[1] // groups, *x.shape[2:]), grid.reshape(-1, *grid.shape[2:])


def like(out: Tensor, x: Tensor) -> Tensor:
    """Convert ``out`` to the dtype and memory format of ``x``; ``grid_sample`` keeps neither."""
    memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return out.to(x.dtype).contiguous(memory_format=memory_format)
