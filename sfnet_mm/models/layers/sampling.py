"""Samples a map at offsets, a field of offsets for each group of channels."""

from typing import Any

import torch
from torch import Tensor

from sfnet_mm.ops import flow_warp
from sfnet_mm.ops.exporting import linspace


def sample_by_offsets(x: Tensor, offset: Tensor) -> Tensor:
    """Sample a map bilinearly, at offsets from where bilinear upsampling samples it.

    Positions outside of the map are moved to its border. :func:`sfnet_mm.ops.flow_warp` takes the
    samples, in one fused kernel on CUDA. Its flow goes from its own pixel centers to these
    positions, so that the samples equal those of ``grid_sample`` with ``align_corners=False``.

    Args:
        x: (N, C, h, w).
        offset: (N, 2, groups, H, W), x then y, in pixels of ``x``; ``groups`` divides C.

    Returns:
        Tensor: (N, C, H, W).
    """
    n, c, height, width = x.shape
    groups, size = offset.shape[2], offset.shape[3:]
    flow_x = _flow_to(offset[:, 0], width, size[1])
    flow_y = _flow_to(offset[:, 1].transpose(2, 3), height, size[0]).transpose(2, 3)
    flow = torch.stack([flow_x, flow_y], 2).flatten(0, 1)
    grouped = x.reshape(n * groups, c // groups, height, width)
    return flow_warp(grouped, flow).reshape(n, c, *size)


def _flow_to(offset: Tensor, coarse: int, fine: int) -> Tensor:
    """Convert offsets from bilinear upsampling to the flow of :func:`flow_warp` along one side.

    Args:
        offset: (..., fine), offsets in coarse pixels.
        coarse: Length of that side of the sampled map.
        fine: Length of that side of the result.
    """
    options: dict[str, Any] = dict(dtype=offset.dtype, device=offset.device)
    half = coarse / (2 * fine)
    upsampling = linspace(half - 0.5, coarse - half - 0.5, fine, **options)
    centers = linspace(0, coarse - 1, fine, **options)
    position = (upsampling + offset).clamp(0, coarse - 1)
    return (position - centers) * (2 * fine / max(coarse - 1, 1))
