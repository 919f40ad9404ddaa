"""The semantic flow warp in plain torch: the ``native`` backend, and what an export writes.

Shapes, conventions and the unit of the flow: :mod:`sfnet_mm.ops.flow_warp`.
"""

import math
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Any normalised coordinate of this size lies a full pixel or more outside every map, where zero
# padding makes the sample and its gradients zero.
_FAR_OUTSIDE = 4.0
# Into so many parts the channels of an exported warp are cut.
_GROUPS = 8


def working_dtype(x: Tensor) -> torch.dtype:
    """The dtype of positions and sums for a map ``x``."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def warp(x: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """``flow_warp`` in plain torch; the result stays in ``dtype``.

    Half precision is converted rather than handed to ``grid_sample``: a grid in half precision is
    off by up to a pixel, and torch's half-precision CPU kernel is wrong on maps of more than 32767
    elements.
    """
    x, grid = x.to(dtype), _sampling_grid(x, flow.to(dtype))
    shape = (*x.shape[:2], *grid.shape[1:3])
    if is_exporting():
        x, grid = _in_groups(x, grid)
    out = F.grid_sample(x, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    return out.reshape(shape)


def _sampling_grid(x: Tensor, flow: Tensor) -> Tensor:
    """Where to sample ``x`` (N, C, h, w): (N, H, W, 2) for ``align_corners=False``.

    In those coordinates the centres of the corner pixels lie at ``1 - 1 / w`` instead of 1. ONNX
    Runtime has its fast sampler for this kind only. A side of one pixel has a reach of 0: every
    finite position on it is that pixel.
    """
    height, width = flow.shape[-2:]
    reach_x, reach_y = ((side - 1) / side for side in (x.shape[-1], x.shape[-2]))
    columns = torch.linspace(-1, 1, width, dtype=flow.dtype, device=flow.device) * reach_x
    rows = torch.linspace(-1, 1, height, dtype=flow.dtype, device=flow.device) * reach_y
    grid_x = columns + flow[:, 0] * (reach_x / width)
    grid_y = rows[:, None] + flow[:, 1] * (reach_y / height)
    grid = torch.stack((grid_x, grid_y), dim=-1)
    # The comparison is false for NaN as well, and keeps huge numbers from overflowing an index.
    return torch.where(grid.abs() < _FAR_OUTSIDE, grid, _FAR_OUTSIDE)


def _in_groups(x: Tensor, grid: Tensor) -> Tuple[Tensor, Tensor]:
    """Some channels at a time as images of their own, for graph runtimes.

    Their samplers read all channels of a position before the next one. That many maps do not fit a
    cache, so that OpenVINO takes up to three times as long.
    """
    groups = math.gcd(x.shape[1], _GROUPS)
    grid = grid[:, None].expand(-1, groups, -1, -1, -1)
    return x.reshape(-1, x.shape[1] // groups, *x.shape[2:]), grid.reshape(-1, *grid.shape[2:])


def blend(low: Tensor, high: Tensor, gate: Tensor) -> Tensor:
    """``high * gate + low * (1 - gate)`` of two maps (N, C, H, W), with a gate (N, 1, H, W)."""
    if is_exporting():
        # lerp would become a choice between two formulas, of four passes each.
        return low + gate * (high - low)
    return torch.lerp(low, high, gate)


def like(out: Tensor, x: Tensor) -> Tensor:
    """``out`` in the dtype and memory format of ``x``; ``grid_sample`` keeps neither."""
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return out.to(dtype=x.dtype, memory_format=torch.channels_last)
    return out.to(x.dtype)


def is_exporting() -> bool:
    """Whether a graph is being written for another runtime."""
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return True
    # torch 2.7 and later; before, an export is told apart by tracing alone.
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()
