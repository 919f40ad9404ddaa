"""The semantic flow warp in plain torch: the ``native`` backend, and what an export writes.

Shapes, conventions and the unit of the flow: :mod:`sfnet_mm.ops.flow_warp`.
"""

import math
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting, linspace
from .row_sums import has_rows, is_channels_last, sum_of_rows

# Any normalized coordinate of this size lies a full pixel or more outside every map, where zero
# padding makes the sample and its gradients zero.
_FAR_OUTSIDE = 4.0
# Into so many parts the channels of a warp are cut, where that pays.
_GROUPS_CPU, _GROUPS_OPENVINO = 16, 8


def working_dtype(x: Tensor) -> torch.dtype:
    """The dtype of positions and sums for a map ``x``."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def warp(x: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """``flow_warp`` in plain torch; the result stays in ``dtype``.

    Half precision is converted rather than handed to ``grid_sample``: a grid in half precision is
    off by up to a pixel, and torch's half-precision CPU kernel is wrong on maps of more than 32767
    elements.
    """
    x, flow = x.to(dtype), flow.to(dtype)
    if has_rows(x):
        return sum_of_rows((x, flow))
    grid = _sampling_grid(x, flow)
    shape = (*x.shape[:2], *grid.shape[1:3])
    x, grid = _in_groups(x, grid)
    out = F.grid_sample(x, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    return out.reshape(shape)


def gated_dual_warp(
    high: Tensor, low: Tensor, flow: Tensor, gate: Optional[Tensor], dtype: torch.dtype
) -> Tensor:
    """``gated_dual_flow_warp`` in plain torch; the result stays in ``dtype``."""
    if gate is None:
        return warp(high, flow[:, :2], dtype) + warp(low, flow[:, 2:], dtype)
    high, low, flow, gate = (x.to(dtype) for x in (high, low, flow, gate))
    if has_rows(high) and has_rows(low):
        return sum_of_rows((high, flow[:, :2], gate), (low, flow[:, 2:], 1 - gate))
    high, low = warp(high, flow[:, :2], dtype), warp(low, flow[:, 2:], dtype)
    if is_exporting():
        # lerp would become a choice between two formulas, of four passes each.
        return low + gate * (high - low)
    return torch.lerp(low, high, gate)


def _sampling_grid(x: Tensor, flow: Tensor) -> Tensor:
    """Where to sample ``x`` (N, C, h, w): (N, H, W, 2) for ``align_corners=False``.

    In those coordinates the centers of the corner pixels lie at ``1 - 1 / w`` instead of 1. ONNX
    Runtime has its fast sampler for this kind only. A side of one pixel has a reach of 0: every
    finite position on it is that pixel.
    """
    height, width = flow.shape[-2:]
    dtype, device = flow.dtype, flow.device
    reach_x, reach_y = ((side - 1) / side for side in (x.shape[-1], x.shape[-2]))
    columns = linspace(-reach_x, reach_x, width, dtype=dtype, device=device)
    rows = linspace(-reach_y, reach_y, height, dtype=dtype, device=device)
    centers = torch.stack((columns.expand(height, -1), rows[:, None].expand(-1, width)))
    units = linspace(reach_x / width, reach_y / height, 2, dtype=dtype, device=device)
    grid = centers + flow * units.view(2, 1, 1)
    # The comparison is false for NaN as well, and keeps huge numbers from overflowing an index.
    grid = torch.where(grid.abs() < _FAR_OUTSIDE, grid, _FAR_OUTSIDE)
    # Interleaved last: what rewrites a graph finds both planes before it.
    return grid.permute(0, 2, 3, 1).contiguous()


def _in_groups(x: Tensor, grid: Tensor) -> Tuple[Tensor, Tensor]:
    """Some channels at a time as images of their own, where that is faster.

    Torch samples an image on one core of the CPU. OpenVINO reads all channels of a position before
    the next one: that many maps do not fit a cache, so that it takes up to three times as long.
    ONNX Runtime is fastest with all channels together.
    """
    if is_exporting():
        wanted = _GROUPS_OPENVINO if is_exporting('openvino') else 1
    else:
        wanted = _GROUPS_CPU if x.device.type == 'cpu' else 1
    groups = math.gcd(x.shape[1], wanted)
    if groups == 1:
        return x, grid
    grid = grid[:, None].expand(-1, groups, -1, -1, -1)
    return x.reshape(-1, x.shape[1] // groups, *x.shape[2:]), grid.reshape(-1, *grid.shape[2:])


def like(out: Tensor, x: Tensor) -> Tensor:
    """``out`` in the dtype and memory format of ``x``; ``grid_sample`` keeps neither."""
    memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return out.to(x.dtype).contiguous(memory_format=memory_format)
