"""Sums over the window of coarse pixels around each fine pixel, without a copy per pixel.

CARAFE, SAPA and FreqFusion give each fine pixel a weighted sum of the coarse pixels around its
place. All fine pixels of a coarse pixel share its window. So the fine pixels are grouped by coarse
pixels. Each window position is a shifted view of the coarse map, which is multiplied with all fine
pixels. No neighbor is copied, and training stores only the two maps.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.ops.native import like


def shifted_views(x: Tensor, kernel_size: int, dilation: int = 1) -> Iterator[Tensor]:
    """Yield the neighbors of every pixel, one window position after the other, row by row.

    Args:
        x: (..., h, w); zero outside.
        kernel_size: Side of the window, an odd number.
        dilation: Distance of two neighbors in pixels.

    Yields:
        Tensor: (..., h, w), a view of the padded map.
    """
    height, width = x.shape[-2:]
    x = F.pad(x, (kernel_size // 2 * dilation,) * 4)
    starts = range(0, kernel_size * dilation, dilation)
    for i in starts:
        for j in starts:
            yield x[..., i : i + height, j : j + width]


def group_by_coarse_pixel(x: Tensor, size: Sequence[int]) -> Tensor:
    """Group the pixels of a fine map by the pixels of a coarse one.

    A fine pixel belongs to the coarse pixel that contains its center. If the sizes are not
    multiples, coarse pixels have different numbers of fine ones. Then a fine pixel is repeated in
    the unused places, and :func:`to_fine_grid` drops the repetitions.

    Args:
        x: (N, C, H, W).
        size: (h, w) of the coarse map.

    Returns:
        Tensor: (N, C, a * b, h, w), for a = ceil(H / h) and b = ceil(W / w): the a x b fine pixels
        of each coarse pixel, row by row.
    """
    steps = []
    for dim, coarse in zip((2, 3), size):
        fine = x.shape[dim]
        step = _max_fine_pixels(fine, coarse)
        if not _is_multiple(fine, coarse):
            first = _first_fine_pixel(torch.arange(coarse, device=x.device), fine, coarse)
            index = first[:, None] + torch.arange(step, device=x.device)
            x = x.index_select(dim, index.flatten().clamp(max=fine - 1))
        steps.append(step)
    n, c = x.shape[:2]
    x = x.reshape(n, c, size[0], steps[0], size[1], steps[1]).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c, steps[0] * steps[1], *size)


def to_fine_grid(x: Tensor, size: Sequence[int]) -> Tensor:
    """Invert :func:`group_by_coarse_pixel`.

    Args:
        x: (N, C, a * b, h, w).
        size: (H, W) of the fine map.

    Returns:
        Tensor: (N, C, H, W).
    """
    n, c, _, height, width = x.shape
    a, b = _max_fine_pixels(size[0], height), _max_fine_pixels(size[1], width)
    x = x.reshape(n, c, a, b, height, width).permute(0, 1, 4, 2, 5, 3)
    x = x.reshape(n, c, height * a, width * b)
    for dim, fine, coarse, step in ((2, size[0], height, a), (3, size[1], width, b)):
        if not _is_multiple(fine, coarse):
            place = torch.arange(fine, device=x.device)
            pixel = (2 * place + 1) * coarse // (2 * fine)
            x = x.index_select(dim, pixel * step + place - _first_fine_pixel(pixel, fine, coarse))
    return x


def sum_over_windows(x: Tensor, weights: Tensor) -> Tensor:
    """Sum over the windows of ``x``, with weights for every fine pixel.

    Args:
        x: (N, C, h, w); zero outside.
        weights: (N, k * k, a * b, h, w), for the window positions row by row, grouped by
            :func:`group_by_coarse_pixel`.

    Returns:
        Tensor: (N, C, a * b, h, w).
    """
    kernel_size = int(weights.shape[1] ** 0.5)
    # All window positions share the new axes, so that an exported graph has few nodes.
    x, weights, out = x[:, :, None], weights[:, :, None], x.new_zeros(())
    for k, view in enumerate(shifted_views(x, kernel_size)):
        out = out + view * weights[:, k]
    return out


def upsample_by_kernels(x: Tensor, kernels: Tensor) -> Tensor:
    """Give each fine pixel the weighted sum of the window around the pixel of ``x`` it lies in.

    Args:
        x: (N, C, h, w); zero outside. Of the size (H, W), it is filtered.
        kernels: (N, k * k, H, W), the weights of the window positions row by row. Sums are computed
            in their dtype.

    Returns:
        Tensor: (N, C, H, W), of the dtype of ``x``.
    """
    weights = group_by_coarse_pixel(kernels, x.shape[2:])
    cells = sum_over_windows(x.to(kernels.dtype), weights)
    return like(to_fine_grid(cells, kernels.shape[2:]), x)


def neighbor_similarity(x: Tensor, dilation: int = 1) -> Tensor:
    """Compute the cosine similarity of each pixel with its eight neighbors, row by row.

    Args:
        x: (N, C, H, W); zero outside.
        dilation: Distance of the neighbors in pixels.

    Returns:
        Tensor: (N, 8, H, W).
    """
    x = F.normalize(x, dim=1)
    views = list(shifted_views(x, 3, dilation))
    return torch.stack([(x * view).sum(1) for view in views[:4] + views[5:]], 1)


def _max_fine_pixels(fine: int, coarse: int) -> int:
    """Return the largest number of fine pixels of a coarse one along a side."""
    return (fine + coarse - 1) // coarse


def _is_multiple(fine: int, coarse: int) -> bool:
    """Return whether all coarse pixels surely have equally many fine ones; False for open sizes."""
    return isinstance(fine, int) and isinstance(coarse, int) and fine % coarse == 0


def _first_fine_pixel(pixel: Tensor, fine: int, coarse: int) -> Tensor:
    """Return the first fine pixel whose center, (i + 1/2) * coarse / fine, is in a coarse pixel."""
    return (2 * fine * pixel + coarse - 1) // (2 * coarse)
