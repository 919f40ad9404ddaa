"""Rewrites the warps of an ONNX graph in operators that every compiler has.

Core ML, TFLite, RKNN and ncnn lack ``GridSample`` or compute it wrongly. A bilinear sample with
zeros outside the map is the weighted sum of four pixels. It can be written as ``Gather`` of rows,
arithmetic and comparisons. OpenCV's ``dnn`` reads the graph as well if both maps of each sum have
the same shape.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import require

from .opsets import to_opset
from .parity import INSTALL

WARPS = ('gridsample', 'gather')
# The names of the nodes of a warp begin with this.
PREFIX = 'flow_warp'


def runtime_of_trace(runtime: str, warp: str) -> str:
    """Return the runtime for which to trace a graph that is to be fast in ``runtime``.

    Raises:
        ValueError: The form of the warp is unknown.
    """
    if warp not in WARPS:
        raise ValueError(f'warp {warp!r} is not one of {", ".join(WARPS)}')
    # The form for OpenVINO would warp the channels in groups.
    return 'onnxruntime' if warp == 'gather' else runtime


def convert_warps(proto: Any, warp: str, opset: int) -> Any:
    """Convert a traced graph to a form of its warps, one of ``WARPS``, and to an opset.

    Raises:
        ValueError: The graph has no such form.
    """
    if warp == 'gather':
        gather_warps(proto)
        expand_sums(proto)
    return to_opset(proto, opset)


def gather_warps(proto: Any) -> int:
    """Replace every bilinear, zero-padded ``GridSample`` of a graph.

    Args:
        proto: An ``onnx.ModelProto``, which is changed in place.

    Returns:
        int: The number of replaced nodes.

    Raises:
        ValueError: A ``GridSample`` is not bilinear with zeros outside.
    """
    onnx = require('onnx', INSTALL)
    shapes = _shapes(onnx, proto)
    nodes, count = [], 0
    for node in proto.graph.node:
        if node.op_type != 'GridSample':
            nodes.append(node)
            continue
        _check(onnx, node)
        warp = _Warp(onnx, f'{PREFIX}.{count}')
        warp.write(node, shapes.get(node.input[0]) or [0] * 4, shapes.get(node.output[0]))
        nodes += warp.nodes
        proto.graph.initializer.extend(warp.constants)
        count += 1
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return count


def expand_sums(proto: Any) -> None:
    """Give both maps of each sum the same shape, which OpenCV requires after a convolution.

    Args:
        proto: An ``onnx.ModelProto``, which is changed in place. Sums of maps with
            an open size are not changed.
    """
    onnx = require('onnx', INSTALL)
    shapes = _shapes(onnx, proto)
    nodes = []
    for node in proto.graph.node:
        pair = [shapes.get(name, []) for name in node.input]
        if node.op_type == 'Add' and [len(shape) for shape in pair] == [4, 4]:
            for i, shape in enumerate(pair):
                whole = np.maximum(*pair)
                if min(map(min, pair)) and list(whole) != shape:
                    name = f'{node.name}.{i}'
                    wanted = onnx.numpy_helper.from_array(whole.astype(np.int64), f'{name}.shape')
                    proto.graph.initializer.append(wanted)
                    inputs = [node.input[i], wanted.name]
                    nodes.append(onnx.helper.make_node('Expand', inputs, [name], f'{name}.expand'))
                    node.input[i] = name
        nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _shapes(onnx: Any, proto: Any) -> dict[str, list[int]]:
    """Infer the shapes of the values of a graph where that is possible; an open side is 0."""
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _check(onnx: Any, node: Any) -> None:
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    mode, padding = found.get('mode', b'linear'), found.get('padding_mode', b'zeros')
    if mode not in (b'linear', b'bilinear') or padding != b'zeros' or found.get('align_corners'):
        raise ValueError(
            f'{node.name} is a GridSample of mode {mode.decode()}, padding {padding.decode()}, '
            f'align_corners {found.get("align_corners", 0)}: only bilinear ones with zeros outside '
            'and align_corners 0 can be written as gather'
        )


class _Warp:
    """The nodes of one warp.

    Args:
        onnx: The package onnx.
        name: Prefix of the names of nodes and values.
    """

    def __init__(self, onnx: Any, name: str) -> None:
        self.onnx, self.name = onnx, name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, name: str = '', **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = f'{self.name}.{name or len(self.nodes)}'
        made = self.onnx.helper.make_node(kind, inputs, [name], name, **attributes)
        self.nodes.append(made)
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        name = f'{self.name}.constant{len(self.constants)}'
        array = np.asarray(value, dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def sides(self, value: str, known: Sequence[int], axes: Sequence[int]) -> list[str]:
        """Give some sides of a value as int64 of one element, constant if the side is known."""
        found = []
        for axis in axes:
            if known[axis]:
                found.append(self.constant([known[axis]], np.int64))
            else:
                shape = self.node('Shape', value)
                found.append(self.node('Gather', shape, self.constant([axis], np.int64), axis=0))
        return found

    def write(self, node: Any, data: Sequence[int], out: Sequence[int]) -> None:
        """Write the warp of a ``GridSample`` from (N, C, h, w) to (N, C, H, W), open sides as 0."""
        image, grid = node.input
        batch, channels, height, width = self.sides(image, data, range(4))
        # Each coordinate is a plane in the layout (x or y, N, H, W).
        planes = self.node('Transpose', grid, name='grid', perm=[3, 0, 1, 2])
        at_x, at_y = (
            self.neighbors(planes, axis, side) for axis, side in ((0, width), (1, height))
        )
        pixels = self.node('Mul', height, width)
        rows_of = self.node('Reshape', self.first_rows(batch, pixels, data), self.shape(-1, 1, 1))
        table = self.node('Transpose', image, perm=[0, 2, 3, 1])
        table = self.node('Reshape', table, self.node('Concat', self.shape(-1), channels, axis=0))
        total = ''
        for row, share_y in at_y:
            row = self.node('Add', self.node('Mul', row, width), rows_of)
            for column, share_x in at_x:
                index = self.node('Reshape', self.node('Add', row, column), self.shape(-1))
                share = self.node('Reshape', self.node('Mul', share_y, share_x), self.shape(-1, 1))
                term = self.node('Mul', self.node('Gather', table, index, axis=0), share)
                total = self.node('Add', total, term) if total else term
        size = self.sides(grid, [0, *(out or [0] * 4)[2:]], (1, 2))
        shape = self.node('Concat', batch, *size, channels, axis=0)
        total = self.node('Reshape', total, shape)
        last = self.onnx.helper.make_node(
            'Transpose', [total], node.output, f'{self.name}.out', perm=[0, 3, 1, 2]
        )
        self.nodes.append(last)

    def shape(self, *sides: int) -> str:
        """Add a constant shape and return its name."""
        return self.constant(sides, np.int64)

    def first_rows(self, batch: str, pixels: str, data: Sequence[int]) -> str:
        """Compute the first row of each image in the table, int64 (N,)."""
        if data[0]:
            return self.node('Mul', self.constant(np.arange(data[0]), np.int64), pixels)
        zero, one = self.constant(0, np.int64), self.constant(1, np.int64)
        count = self.node('Reshape', batch, self.constant([], np.int64))
        return self.node('Mul', self.node('Range', zero, count, one), pixels)

    def neighbors(self, planes: str, axis: int, side: str) -> list[Any]:
        """Compute index (N, H, W), int64, and weight of the pixels on both sides of each position.

        A pixel outside the map has the weight 0 and the index of a pixel inside.
        """
        one, half = self.constant(1.0), self.constant(0.5)
        length = self.node('Cast', side, to=self.onnx.TensorProto.FLOAT)
        coordinate = self.node('Gather', planes, self.constant(axis, np.int64), axis=0)
        # Coordinates -1 and 1 are the outer edges of the corner pixels. The order of the operations
        # is that of ONNX Runtime.
        position = self.node('Mul', self.node('Add', coordinate, one), length)
        position = self.node('Mul', self.node('Sub', position, one), half)
        first = self.node('Floor', position)
        second = self.node('Add', first, one)
        behind = self.node('Sub', position, first)
        before = self.node('Sub', one, behind)
        last = self.node('Sub', length, one)
        found = []
        for pixel, share in ((first, before), (second, behind)):
            inside = self.node('Min', self.node('Max', pixel, self.constant(0.0)), last)
            mask = self.node('Equal', inside, pixel)
            share = self.node('Where', mask, share, self.constant(0.0))
            index = self.node('Cast', inside, to=self.onnx.TensorProto.INT64)
            found.append((index, share))
        return found
