"""A convolution to few channels as one of single rows, whose results are shifted and added.

A CPU computes a convolution in vectors of 8 or 16 output channels. The flow has 2 or 4: the k times
as many results of its rows fill a vector that they would leave almost empty.
"""

from typing import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.ops.exporting import is_exporting

# Output channels of the widest vectors.
LANES = 16


def fills_vectors(channels: int) -> bool:
    """Whether vectors of any CPU hold so many channels without a rest."""
    return channels % LANES == 0


def row_kernel(weight: Tensor) -> Tensor:
    """Weight (O, C, k, k) as that of its rows, (k * O, C, 1, k), with zeros to fill the vectors."""
    rows = weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)
    return F.pad(rows, [0] * 7 + [-len(rows) % LANES])


def add_parts(parts: Tensor, out_channels: int, kernel: int, dim: int) -> Tensor:
    """The convolution (N, O, H, W) from that of its rows (``dim`` 2) or of its columns (3).

    Args:
        parts: (N, k * O or more, H, W), part after part.
        out_channels: O.
        kernel: k.
        dim: Along which the parts are shifted.
    """
    if is_exporting():
        return _added_by_convolution(parts, out_channels, kernel, dim)
    # Few of the channels of a pixel are read at a time, which is slow where they lie together.
    parts = parts.contiguous()
    groups = [parts[:, i * out_channels : (i + 1) * out_channels] for i in range(kernel)]
    return add_shifted(groups, dim)


def add_shifted(groups: Sequence[Tensor], dim: int) -> Tensor:
    """Sum of k maps (N, O, H, W), map i read at an offset of ``i - k // 2`` along ``dim``."""
    center = len(groups) // 2
    total = groups[center] if is_exporting() else groups[center].clone()
    for i, group in enumerate(groups):
        if i != center:
            total = add_at_offset(total, group, i - center, dim)
    return total


def add_at_offset(total: Tensor, x: Tensor, offset: int, dim: int) -> Tensor:
    """``total`` plus ``x`` read at an offset along ``dim``, zero outside.

    In place, except during export.
    """
    if is_exporting():
        # A graph has no writing into parts of a map.
        return _shifted_by_convolution(x, offset, dim) + total
    kept = total.shape[dim] - abs(offset)
    if kept > 0:
        target = total.narrow(dim, max(0, -offset), kept)
        target.add_(x.narrow(dim, max(0, offset), kept))
    return total


def _added_by_convolution(parts: Tensor, out_channels: int, kernel: int, dim: int) -> Tensor:
    """As :func:`add_parts`: output o adds value i of a column of channel ``i * O + o``.

    Runtimes compute it in the layout that the convolutions around it have, and in the same pass the
    addition after it. Parts that are cut out, padded and added take several times as long.
    """
    weight = np.zeros((out_channels, parts.shape[1], kernel), np.float32)
    for i in range(kernel):
        weight[range(out_channels), range(i * out_channels, (i + 1) * out_channels), i] = 1
    return _conv_along(parts, weight, dim)


def _shifted_by_convolution(x: Tensor, offset: int, dim: int) -> Tensor:
    """``x`` read at an offset, by a kernel for each channel that holds a single one.

    Why: :func:`_added_by_convolution`. As depthwise convolution, since all channels are shifted.
    """
    reach = abs(offset)
    weight = np.zeros((x.shape[1], 1, 2 * reach + 1), np.float32)
    weight[:, :, reach + offset] = 1
    return _conv_along(x, weight, dim, groups=x.shape[1])


def _conv_along(x: Tensor, weight: np.ndarray, dim: int, groups: int = 1) -> Tensor:
    """Convolution along one side, zero padded, by a constant kernel (O, C / groups, k).

    Not computed by torch: the graph shall hold the kernel itself, since TensorRT and the layouts of
    other runtimes want constant ones.
    """
    reach = weight.shape[2] // 2
    shape, padding = ((-1, 1), (reach, 0)) if dim == 2 else ((1, -1), (0, reach))
    kernel = torch.tensor(weight.reshape(*weight.shape[:2], *shape), dtype=x.dtype, device=x.device)
    return F.conv2d(x, kernel, padding=padding, groups=groups)
