"""Rewrites the warps of an OpenVINO model as weighted sums of the rows of a table.

OpenVINO's ``GridSample`` works on one plane per channel, but its convolutions store the channels of
a pixel together. With the changes of layout before and after it, a warp takes five times as long as
``EmbeddingBagPackedSum``, which samples maps in the layout of convolutions. ONNX has no such
operator. A file therefore has ``GridSample``, and the model is rewritten when it is loaded.

:mod:`sfnet_mm.ops.row_sums` does the same for torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .openvino_graph import (
    concatenate,
    concatenate_transposed,
    constant,
    is_known,
    name,
    operands,
    opset,
    reshape,
    sides,
    transpose,
)

# The export writes ``GridSample`` with these attributes.
_WRITTEN = {'mode': 'bilinear', 'padding_mode': 'zeros', 'align_corners': False}


@dataclass
class _Warp:
    """The graph values of a warp: map (N, C, h, w), grid (N, H, W, 2), output (N, C, H, W)."""

    data: Any
    grid: Any
    out: Any


def warp_by_rows(model: Any) -> int:
    """Replace every bilinear, zero-padded ``GridSample`` of a known size, and the gate of GD-FAM.

    Args:
        model: An ``openvino.Model``, which is changed in place.

    Returns:
        int: The number of replaced nodes. A node of another kind or with an open size stays.
    """
    nodes = model.get_ordered_ops()
    warps = {name(warp.out): warp for warp in map(_warp, filter(_is_warp, nodes))}
    for out, high, low, gate in _blends(nodes, warps):
        share = None if gate is None else opset().subtract(constant(1.0), gate).output(0)
        out.replace(_sum_of_rows([(low, share), (high, gate)]))
    for warp in warps.values():
        warp.out.replace(_sum_of_rows([(warp, None)]))
    if warps:
        model.validate_nodes_and_infer_types()
    return len(warps)


def _is_warp(node: Any) -> bool:
    if node.get_type_name() != 'GridSample':
        return False
    attributes = node.get_attributes()
    written = all(attributes[key] == value for key, value in _WRITTEN.items())
    return written and all(is_known(x) for x in node.input_values())


def _warp(node: Any) -> _Warp:
    """Find the warp of a ``GridSample``, with all channels if it works on groups of them.

    Between two reshapes, :func:`sfnet_mm.ops.native.warp` treats each group of channels as an image
    and repeats the grid for it.
    """
    data, grid = node.input_values()
    out = node.output(0)
    readers = [reader.get_node() for reader in out.get_target_inputs()]
    whole = operands(data, 'Reshape')[0]
    once = operands(operands(grid, 'Reshape')[0], 'Broadcast')[0]
    grouped = [r.get_type_name() for r in readers] == ['Reshape']
    if not grouped or not all(x is not None and is_known(x) for x in (whole, once)):
        return _Warp(data, grid, out)
    batch, channels, *size = sides(whole)
    image = [batch, channels, *sides(out)[2:]]
    same_size = size == sides(data)[2:] and sides(readers[0].output(0)) == image
    if not same_size or sides(once) != [batch, 1, *sides(grid)[1:]]:
        return _Warp(data, grid, out)
    shape = [batch, *sides(grid)[1:]]
    grid = operands(once, 'Unsqueeze')[0]
    if grid is None or sides(grid) != shape:
        grid = reshape(once, shape).output(0)
    return _Warp(whole, grid, readers[0].output(0))


def _planes(grid: Any) -> Any:
    """Return a grid (N, H, W, 2) as (N, 2, H, W), without the last transposition if possible."""
    planes, order = operands(grid, 'Transpose')
    known = planes is not None and order.get_node().get_type_name() == 'Constant'
    if known and list(order.get_node().data) == [0, 2, 3, 1]:
        return planes
    return transpose(grid, [0, 3, 1, 2]).output(0)


def _blends(
    nodes: list[Any], warps: dict[str, _Warp]
) -> Iterator[tuple[Any, _Warp, _Warp, Any | None]]:
    """Yield output, both warps and gate of ``low + gate * (high - low)`` or ``high + low``."""
    for node in nodes:
        if node.get_type_name() != 'Add':
            continue
        low, term = node.input_values()
        high, gate = _gated(term, low)
        if name(low) not in warps or name(high) not in warps or sides(low) != sides(high):
            continue
        batch, _, *size = sides(low)
        if gate is None or (is_known(gate) and sides(gate) == [batch, 1, *size]):
            yield node.output(0), warps[name(high)], warps[name(low)], gate


def _gated(term: Any, low: Any) -> tuple[Any, Any | None]:
    """Return ``high`` and gate of a term ``gate * (high - low)``, or another term and None."""
    gate, difference = operands(term, 'Multiply')
    high, subtracted = operands(difference, 'Subtract')
    if subtracted is None or name(subtracted) != name(low):
        return term, None
    return high, gate


def _sum_of_rows(gated: list[tuple[_Warp, Any | None]]) -> Any:
    """Sum warped maps of one size, each of them times its gate (N, 1, H, W) if it has one.

    One pass reads all rows from one table, in which the maps are computed in place.
    """
    op = opset()
    tables, indices, shares, first_row = [], [], [], 0
    for warp, gate in gated:
        batch, channels, height, width = sides(warp.data)
        planes = _planes(warp.grid)
        column, share_x = _neighbors(planes, 0, width, [0, 1, 0, 1])
        row, share_y = _neighbors(planes, 1, height, [0, 0, 1, 1])
        first = np.arange(batch, dtype=np.int32).reshape(-1, 1, 1) * height * width + first_row
        index = op.add(op.multiply(row, constant(np.int32(width))), column)
        indices.append(reshape(op.add(index, constant(first)), [4, -1]))
        share = op.multiply(share_y, share_x)
        if gate is not None:
            share = op.multiply(share, reshape(gate, [batch, *sides(gate)[2:]]))
        shares.append(reshape(share, [4, -1]))
        tables.append(reshape(transpose(warp.data, [0, 2, 3, 1]), [-1, channels]))
        first_row += batch * height * width
    index, share = concatenate_transposed(indices), concatenate_transposed(shares)
    rows = op.embedding_bag_packed_sum(concatenate(tables), index, share)
    batch, channels, height, width = sides(gated[0][0].out)
    return transpose(reshape(rows, [batch, height, width, channels]), [0, 3, 1, 2]).output(0)


def _neighbors(planes: Any, axis: int, side: int, offsets: list[int]) -> tuple[Any, Any]:
    """Compute index (int32) and weight of the four neighbors along x (0) or y (1), (4, N, H, W).

    A pixel outside the map has the weight 0 and the index of a pixel inside.
    """
    op = opset()
    coordinate = op.gather(planes, constant(axis), constant(1))
    # With align_corners=False, -1 and 1 are the outer edges of the corner pixels.
    position = op.add(op.multiply(coordinate, constant(side / 2)), constant((side - 1) / 2))
    offset = constant(np.asarray(offsets, np.float32).reshape(4, 1, 1, 1))
    pixel = op.add(op.floor(position), offset)
    share = op.subtract(constant(1.0), op.abs(op.subtract(position, pixel)))
    inside = op.clamp(pixel, 0.0, side - 1.0)
    share = op.select(op.equal(pixel, inside), share, constant(0.0))
    return op.convert(inside, 'i32'), share
