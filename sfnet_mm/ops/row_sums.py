"""The flow warp of channels-last maps on the CPU, as weighted sums of the rows of a table.

Shapes, conventions and the unit of the flow: :mod:`sfnet_mm.ops.flow_warp`.
"""

from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting


def has_rows(x: Tensor) -> bool:
    """Whether the warp of a map is fastest as sums of rows: on the CPU, channels-last."""
    return x.device.type == 'cpu' and is_channels_last(x) and not is_exporting()


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of a pixel lie together."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def sum_of_rows(x: Tensor, flow: Tensor, gate: Optional[Tensor] = None) -> Tensor:
    """The warp of a channels-last map, times a gate (N, 1, H, W), as rows (N * H * W, C).

    A row has the channels of a pixel, and a row of the result is the weighted sum of four of the
    map. ``embedding_bag`` is that sum, on all cores, forward and backward; ``grid_sample`` reads
    such a map one float at a time, and one image on one core.
    """
    batch, channels, height, width = x.shape
    out_height, out_width = flow.shape[-2:]
    x_position = torch.linspace(0, width - 1, out_width, dtype=flow.dtype)
    y_position = torch.linspace(0, height - 1, out_height, dtype=flow.dtype)[:, None]
    x_position = x_position + flow[:, 0] * ((width - 1) / (2 * out_width))
    y_position = y_position + flow[:, 1] * ((height - 1) / (2 * out_height))
    columns, inside_x = _neighbours(x_position, width)
    rows, inside_y = _neighbours(y_position, height)
    if gate is not None:
        rows = [(row, share * gate[:, 0]) for row, share in rows]
    first_row = torch.arange(batch, dtype=torch.int32)[:, None, None] * height
    rows = [((first_row + row) * width, share) for row, share in rows]
    index = [row + column for row, _ in rows for column, _ in columns]
    share = [share_y * share_x for _, share_y in rows for _, share_x in columns]
    out = F.embedding_bag(
        torch.stack(index, dim=-1).view(-1, 4),
        x.permute(0, 2, 3, 1).reshape(-1, channels),
        mode='sum',
        per_sample_weights=torch.stack(share, dim=-1).view(-1, 4),
    )
    # A share of 0 does not hide an infinity. It does stop the gradient.
    with torch.no_grad():
        out[~(inside_x & inside_y).view(-1)] = out.new_zeros(channels)
    return out


def to_map(rows: Tensor, flow: Tensor) -> Tensor:
    """Rows (N * H * W, C) as a channels-last map (N, C, H, W) of the size of the flow."""
    return rows.view(len(flow), *flow.shape[2:], rows.shape[1]).permute(0, 3, 1, 2)


def _neighbours(position: Tensor, side: int) -> Tuple[List[Tuple[Tensor, Tensor]], Tensor]:
    """The index and the share of the two pixels around positions on a side, and whether one is.

    A pixel outside has the share 0 and the index of one inside.
    """
    # The comparison is false for NaN as well, and keeps huge numbers from overflowing an index.
    inside = (position > -1) & (position < side)
    position = torch.where(inside, position, -1.0)
    lower = position.floor()
    fraction = position - lower
    index = lower.int()
    pixels = [
        (index.clamp(min=0), (1 - fraction) * (index >= 0)),
        ((index + 1).clamp(max=side - 1), fraction * (index < side - 1)),
    ]
    return pixels, inside
