"""A convolution to few channels as one of single rows, whose results are shifted and added.

A CPU computes a convolution in vectors of 8 or 16 output channels. The flow has 2 or 4: the k times
as many results of its rows fill a vector that they would leave almost empty.
"""

from typing import Sequence

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
    if not is_exporting():
        # Few of the channels of a pixel are read at a time, which is slow where they lie together.
        parts = parts.contiguous()
    groups = [parts[:, i * out_channels : (i + 1) * out_channels] for i in range(kernel)]
    return add_shifted(groups, dim)


def add_shifted(groups: Sequence[Tensor], dim: int) -> Tensor:
    """Sum of k maps (N, O, H, W), map i read at an offset of ``i - k // 2`` along ``dim``."""
    centre = len(groups) // 2
    total = groups[centre] if is_exporting() else groups[centre].clone()
    for i, group in enumerate(groups):
        if i != centre:
            total = add_at_offset(total, group, i - centre, dim)
    return total


def add_at_offset(total: Tensor, x: Tensor, offset: int, dim: int) -> Tensor:
    """``total`` plus ``x`` read at an offset along ``dim``, zero outside.

    In place, except during export.
    """
    if is_exporting():
        # A graph has no writing into parts of a map.
        full = fills_vectors(x.shape[1])
        shifted = _shifted_by_convolution if full else _shifted_by_padding
        return shifted(x, offset, dim) + total
    kept = total.shape[dim] - abs(offset)
    if kept > 0:
        target = total.narrow(dim, max(0, -offset), kept)
        target.add_(x.narrow(dim, max(0, offset), kept))
    return total


def _shifted_by_convolution(x: Tensor, offset: int, dim: int) -> Tensor:
    """``x`` read at an offset, by a kernel for each channel that holds a single one.

    Runtimes compute it in the layout that the convolutions around it have, and in the same pass the
    addition after it. A padding takes as long as both, and changes the layout twice.
    """
    reach = abs(offset)
    kernel = x.new_zeros(2 * reach + 1)
    kernel[reach + offset] = 1
    rows, columns = (reach, 0) if dim == 2 else (0, reach)
    weight = kernel.view(1, 1, 2 * rows + 1, 2 * columns + 1).expand(x.shape[1], -1, -1, -1)
    return F.conv2d(x, weight, padding=(rows, columns), groups=x.shape[1])


def _shifted_by_padding(x: Tensor, offset: int, dim: int) -> Tensor:
    """``x`` read at an offset: a side that is padded by less than nothing is cut."""
    before = (0, 0) if dim == 2 else ()
    return F.pad(x, (*before, -offset, offset))
