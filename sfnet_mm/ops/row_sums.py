"""The flow warp of channels-last maps on the CPU, as weighted sums of the rows of a table.

:mod:`sfnet_mm.ops.flow_warp` defines shapes, conventions and the unit of the flow.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .exporting import is_exporting

# Results of this size stay in a cache of the CPU until they are added.
_FLOATS_IN_CACHE = 2**20
# A map (N, C, h, w), its flow (N, 2, H, W) and, unless it is 1, its gate (N, 1, H, W).
Warp = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]


class _WeightedRows(NamedTuple):
    """The weighted rows that are summed for each pixel of a result.

    Attributes:
        table: The map as rows (pixels of the map, C).
        rows: Indices of the four rows around a position, int32 (pixels, 4).
        share: Weight of each row, (pixels, 4).
        outside: Whether a position is outside of the map, (pixels,).
    """

    table: Tensor
    rows: Tensor
    share: Tensor
    outside: Tensor

    def part(self, pixels: slice) -> '_WeightedRows':
        """Select some pixels of the result."""
        return _WeightedRows(
            self.table, self.rows[pixels], self.share[pixels], self.outside[pixels]
        )


def has_rows(x: Tensor) -> bool:
    """Whether the warp of a map is fastest as sums of rows: on the CPU, channels-last."""
    return x.device.type == 'cpu' and is_channels_last(x) and not is_exporting()


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of a pixel are adjacent in memory."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def sum_of_rows(warp: Warp, added: Warp | None = None) -> Tensor:
    """Warp a channels-last map, or add the warps of two, to a channels-last map (N, C, H, W).

    The channels of a pixel are a row of a table, and a pixel of the result is the weighted sum of
    four rows. ``embedding_bag`` computes that sum on all cores, forward and backward;
    ``grid_sample`` reads such a map one float at a time, and an image on one core.

    Args:
        warp: The map, its flow, and the gate that multiplies its warp.
        added: The same for a second map, whose flow has the same size.
    """
    weighted = _weighted_rows(*warp)
    batch, _, *size = warp[1].shape
    if added is None:
        rows = _sums(weighted)
    elif torch.is_grad_enabled():
        rows = _sums(weighted).add_(_sums(_weighted_rows(*added)))
    else:
        rows = _added_in_cache(weighted, _weighted_rows(*added))
    return rows.view(batch, *size, rows.shape[1]).permute(0, 3, 1, 2)


def _weighted_rows(x: Tensor, flow: Tensor, gate: Tensor | None = None) -> _WeightedRows:
    batch, channels, height, width = x.shape
    out_height, out_width = flow.shape[-2:]
    like: dict[str, Any] = dict(dtype=flow.dtype, device=flow.device)
    x_position = torch.linspace(0, width - 1, out_width, **like)
    y_position = torch.linspace(0, height - 1, out_height, **like)[:, None]
    x_position = x_position + flow[:, 0] * ((width - 1) / (2 * out_width))
    y_position = y_position + flow[:, 1] * ((height - 1) / (2 * out_height))
    columns, inside_x = _neighbors(x_position, width)
    rows, inside_y = _neighbors(y_position, height)
    if gate is not None:
        rows = [(row, share * gate[:, 0]) for row, share in rows]
    first_row = torch.arange(batch, dtype=torch.int32, device=flow.device)[:, None, None] * height
    rows = [((first_row + row) * width, share) for row, share in rows]
    index = [row + column for row, _ in rows for column, _ in columns]
    share = [share_y * share_x for _, share_y in rows for _, share_x in columns]
    return _WeightedRows(
        x.permute(0, 2, 3, 1).reshape(-1, channels),
        torch.stack(index, dim=-1).view(-1, 4),
        torch.stack(share, dim=-1).view(-1, 4),
        ~(inside_x & inside_y).view(-1),
    )


def _sums(rows: _WeightedRows) -> Tensor:
    """Compute rows (pixels, C) of the result."""
    out = F.embedding_bag(rows.rows, rows.table, mode='sum', per_sample_weights=rows.share)
    # A weight of 0 does not cancel an infinity, but it stops the gradient.
    with torch.no_grad():
        out[rows.outside] = out.new_zeros(out.shape[1])
    return out


def _added_in_cache(first: _WeightedRows, second: _WeightedRows) -> Tensor:
    """Add both results some rows at a time, so that only the sum of two large maps is written."""
    channels = first.table.shape[1]
    out = first.table.new_empty(len(first.rows), channels)
    step = max(1, _FLOATS_IN_CACHE // channels)
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        torch.add(_sums(first.part(part)), _sums(second.part(part)), out=out[part])
    return out


def _neighbors(position: Tensor, side: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Find index and weight of the two pixels around positions on a side, and if one is inside.

    A pixel outside has the weight 0 and the index of a pixel inside.
    """
    # The comparison is also false for NaN, and keeps huge numbers from overflowing an index.
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
