"""Convolves with each row of a kernel, then shifts and adds the results: fast for few channels.

A CPU computes a convolution in vectors of 8 or 16 output channels. The flow has only 2 or 4
channels, which leave a vector almost empty. The rows of a kernel of height k together have k times
as many.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.ops.exporting import is_exporting

# The widest vectors hold this number of output channels.
LANES = 16


def fills_vectors(channels: int) -> bool:
    """Return whether this number of channels fills the vectors of any CPU."""
    return channels % LANES == 0


def row_kernel(weight: Tensor) -> Tensor:
    """Split a weight (O, C, k, k) into its rows, (k * O, C, 1, k), padded to fill the vectors."""
    rows = weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)
    return F.pad(rows, [0] * 7 + [-len(rows) % LANES])


def add_parts(parts: Tensor, out_channels: int, kernel: int, dim: int) -> Tensor:
    """Shift and add the results of kernel rows (``dim`` 2) or columns (3) to (N, O, H, W).

    Args:
        parts: (N, k * O or more, H, W), the results of the rows or columns one after the other.
        out_channels: O, the number of output channels.
        kernel: k, the side of the kernel.
        dim: Dimension along which the parts are shifted.
    """
    if is_exporting():
        return _added_by_convolution(parts, out_channels, kernel, dim)
    # Each sum reads few channels of a pixel, which is slow if all channels are adjacent in memory.
    parts = parts.contiguous()
    groups = [parts[:, i * out_channels : (i + 1) * out_channels] for i in range(kernel)]
    return add_shifted(groups, dim)


def add_shifted(groups: Sequence[Tensor], dim: int) -> Tensor:
    """Add k maps (N, O, H, W); map i is read at an offset of ``i - k // 2`` along ``dim``."""
    center = len(groups) // 2
    total = groups[center] if is_exporting() else groups[center].clone()
    for i, group in enumerate(groups):
        if i != center:
            total = add_at_offset(total, group, i - center, dim)
    return total


def add_at_offset(total: Tensor, x: Tensor, offset: int, dim: int) -> Tensor:
    """Add ``x``, read at an offset along ``dim`` and zero outside, to ``total``.

    The sum is computed in place, except during export.
    """
    if is_exporting():
        # A graph cannot write into parts of a map.
        return _shifted_by_convolution(x, offset, dim) + total
    kept = total.shape[dim] - abs(offset)
    if kept > 0:
        target = total.narrow(dim, max(0, -offset), kept)
        target.add_(x.narrow(dim, max(0, offset), kept))
    return total


def _added_by_convolution(parts: Tensor, out_channels: int, kernel: int, dim: int) -> Tensor:
    """Do the same as :func:`add_parts` by a convolution.

    Output channel o is the sum over i of channel ``i * O + o``, read at offset i along ``dim``.
    Runtimes compute it in the layout of the convolutions around it, together with the addition
    after it. Parts that are sliced, padded and added take several times as long.
    """
    weight = np.zeros((out_channels, parts.shape[1], kernel), np.float32)
    for i in range(kernel):
        weight[range(out_channels), range(i * out_channels, (i + 1) * out_channels), i] = 1
    return _conv_along(parts, weight, dim)


def _shifted_by_convolution(x: Tensor, offset: int, dim: int) -> Tensor:
    """Read ``x`` at an offset by a depthwise convolution whose kernels have a single 1.

    :func:`_added_by_convolution` gives the reason.
    """
    reach = abs(offset)
    weight = np.zeros((x.shape[1], 1, 2 * reach + 1), np.float32)
    weight[:, :, reach + offset] = 1
    return _conv_along(x, weight, dim, groups=x.shape[1])


def _conv_along(x: Tensor, weight: np.ndarray, dim: int, groups: int = 1) -> Tensor:
    """Convolve along one side, zero padded, with a constant kernel (O, C / groups, k).

    numpy makes the kernel, so that the exported graph has it as a constant. TensorRT needs that,
    and so do other runtimes to choose the layout.
    """
    reach = weight.shape[2] // 2
    shape, padding = ((-1, 1), (reach, 0)) if dim == 2 else ((1, -1), (0, reach))
    kernel = torch.tensor(weight.reshape(*weight.shape[:2], *shape), dtype=x.dtype, device=x.device)
    return F.conv2d(x, kernel, padding=padding, groups=groups)
