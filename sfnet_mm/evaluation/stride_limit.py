"""Computes what the stride of a network's logits costs each class."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.utils.tables import markdown_table


def stride_limits(
    labels: Iterable[Tensor], num_classes: int, strides: Sequence[int], ignore_index: int = 255
) -> dict[int, list[float | None]]:
    """Compute the IoU of labels that went through a grid of a larger stride.

    Each label becomes the share of every class in the cells of the grid, which is what a network
    that knows the label could give there. The shares are resized bilinearly, as a network's logits
    are, and each pixel takes the class of the largest one.

    Args:
        labels: Label maps (H, W).
        num_classes: Number of classes; other values are treated like ``ignore_index``.
        strides: Strides of the grid in pixels.
        ignore_index: Label of the pixels that do not count.

    Returns:
        For each stride the IoU of every class in percent, None for a class that does not occur.
    """
    areas = {stride: torch.zeros(2, num_classes, dtype=torch.int64) for stride in strides}
    for label in labels:
        label = label.long()
        valid = (label != ignore_index) & (label >= 0) & (label < num_classes)
        true = F.one_hot(label[valid], num_classes)
        shares = torch.zeros(*label.shape, num_classes)
        shares[valid] = true.float()
        shares = shares.permute(2, 0, 1)[None]
        for stride, area in areas.items():
            grid = [-(-side // stride) for side in label.shape]
            cells = F.adaptive_avg_pool2d(shares, grid)
            resized = F.interpolate(cells, label.shape, mode='bilinear', align_corners=False)
            found = F.one_hot(resized[0].argmax(0)[valid], num_classes)
            area += torch.stack([(true & found).sum(0), (true | found).sum(0)])
    return {
        stride: [100 * i / u if u else None for i, u in zip(*area.tolist())]
        for stride, area in areas.items()
    }


def stride_limits_table(result: dict[str, Any]) -> str:
    """Write the result of ``stride_limits.py`` as Markdown: a row for each stride."""
    rows = [
        [str(stride), *('-' if value is None else f'{value:.1f}' for value in limits)]
        for stride, limits in result['limits'].items()
    ]
    header = ['stride', *result['classes']]
    return '\n'.join(markdown_table(header, rows, 0)) + '\n'
