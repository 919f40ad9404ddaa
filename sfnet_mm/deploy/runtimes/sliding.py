"""Slides windows over an image as mmseg's ``EncoderDecoder.slide_inference`` does."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Size = tuple[int, int]


def windows(
    size: Size, crop_size: Sequence[int], stride: Sequence[int]
) -> Iterator[tuple[slice, slice]]:
    """List the rows and columns of every window. The last windows end with the image.

    Args:
        size: (height, width) of the image. A side shorter than that of a window is taken whole.
        crop_size: (height, width) of a window.
        stride: Steps of the windows in y and x.
    """
    starts = [
        range(0, max(side - length + step - 1, 0) + 1, step)
        for side, length, step in zip(size, crop_size, stride)
    ]
    for y in starts[0]:
        for x in starts[1]:
            ends = [min(at + length, side) for at, length, side in zip((y, x), crop_size, size)]
            yield tuple(slice(max(end - length, 0), end) for end, length in zip(ends, crop_size))


def slide(
    logits_of: Callable[[slice, slice], Tensor],
    size: Size,
    crop_size: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """Compute the mean of the logits of all windows that cover a pixel.

    Args:
        logits_of: Function from the rows and columns of a window to its logits (1, K, h, w).
        size: (height, width) of the image.
        crop_size: (height, width) of a window.
        stride: Steps of the windows in y and x.

    Returns:
        (1, K, H, W).
    """
    total, count = torch.zeros(()), torch.zeros(size)
    for rows, columns in windows(size, crop_size, stride):
        logits = logits_of(rows, columns)
        if total.ndim == 0:
            total = logits.new_zeros(1, logits.shape[1], *size)
        total[:, :, rows, columns] += logits
        count[rows, columns] += 1
    return total / count
