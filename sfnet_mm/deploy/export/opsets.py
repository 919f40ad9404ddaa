"""Converts a graph of opset 18 to an older opset, for compilers that support no newer one.

onnx's own converter cannot lower ``Split``, ``Shape`` and ``Add``. Of the operators that an export
writes, only ``LayerNormalization`` is newer than opset 13, and others changed in attributes and
inputs. This module converts each of them. The checker of onnx refuses a graph with anything else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import first_line, require

from .onnx_graph import OPSET
from .parity import INSTALL

OLDEST, GRID_SAMPLE = 13, 16


def to_opset(proto: Any, opset: int) -> Any:
    """Convert a graph to an older opset.

    Args:
        proto: An ``onnx.ModelProto`` of opset 18, which may be changed.
        opset: The opset, from 13 to 18. ``GridSample`` needs 16.

    Raises:
        ValueError: The opset is out of range, or the graph has an operator that it lacks.
    """
    onnx = require('onnx', INSTALL)
    if not OLDEST <= opset <= OPSET:
        raise ValueError(f'opset {opset} is not between {OLDEST} and {OPSET}')
    if opset < GRID_SAMPLE and any(n.op_type == 'GridSample' for n in proto.graph.node):
        raise ValueError(
            f'opset {opset} has no GridSample: write the warp with --warp gather, or use --opset '
            f'{GRID_SAMPLE}'
        )
    if opset == OPSET:
        return proto
    lowering = _Lowering(onnx, proto, opset)
    nodes = [made for node in proto.graph.node for made in lowering.convert(node)]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    next(o for o in proto.opset_import if not o.domain).version = opset
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as e:
        reason = first_line(e).rstrip(':')
        raise ValueError(f'the graph has no form in opset {opset}: {reason}') from None
    return proto


class _Lowering:
    """Converts nodes of opset 18 to an older opset."""

    def __init__(self, onnx: Any, proto: Any, opset: int) -> None:
        self.onnx, self.proto, self.opset = onnx, proto, opset
        self.constants = {value.name: value for value in proto.graph.initializer}
        self.changes: dict[str, Callable[[Any], list[Any]]] = {}
        if opset < 18:
            self.changes.update(Resize=self.resize, Split=self.split)
            reductions = ('L1', 'L2', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare')
            self.changes.update({f'Reduce{kind}': self.reduction for kind in reductions})
        if opset < 17:
            self.changes['LayerNormalization'] = self.layer_norm
        if opset < 15:
            self.changes['Shape'] = self.shape
        if opset < 14:
            self.changes['Reshape'] = self.reshape

    def convert(self, node: Any) -> list[Any]:
        """Convert a node and return it with the nodes that must follow it."""
        return self.changes.get(node.op_type, lambda node: [node])(node)

    def constant(self, value: Any, name: str, dtype: Any = np.int64) -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, dtype)
        self.proto.graph.initializer.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    @staticmethod
    def drop(node: Any, *defaults: Any) -> None:
        """Remove the attributes (name, value) that a node has with these default values."""
        kept = [a for a in node.attribute if (a.name, a.i or a.s.decode()) not in defaults]
        del node.attribute[:]
        node.attribute.extend(kept)

    def reduction(self, node: Any) -> list[Any]:
        """Pass the axes as an attribute instead of an input."""
        if len(node.input) > 1 and node.input[1] in self.constants:
            axes = self.onnx.numpy_helper.to_array(self.constants[node.input[1]])
            node.attribute.append(self.onnx.helper.make_attribute('axes', axes.tolist()))
            del node.input[1:]
        self.drop(node, ('noop_with_empty_axes', ''))
        return [node]

    def resize(self, node: Any) -> list[Any]:
        self.drop(node, ('antialias', ''), ('keep_aspect_ratio_policy', 'stretch'))
        return [node]

    def split(self, node: Any) -> list[Any]:
        """Remove the number of parts, which older opsets do not need for parts of equal size."""
        self.drop(node, ('num_outputs', len(node.output)))
        return [node]

    def reshape(self, node: Any) -> list[Any]:
        """Remove ``allowzero``, because no feature map has a side of 0."""
        self.drop(node, ('allowzero', ''), ('allowzero', 1))
        return [node]

    def layer_norm(self, node: Any) -> list[Any]:
        """Write a normalization over the last axes as means and arithmetic."""
        found = {a.name: a.i or a.f for a in node.attribute}
        axis, (x, weight, *bias) = found.get('axis', -1), node.input
        if axis >= 0 or weight not in self.constants:
            return [node]
        nodes: list[Any] = []

        def add(kind: str, *inputs: str, out: str = '', **attributes: Any) -> str:
            out = out or f'{node.output[0]}.{len(nodes)}'
            nodes.append(self.onnx.helper.make_node(kind, inputs, [out], out, **attributes))
            return out

        dtype = self.onnx.numpy_helper.to_array(self.constants[weight]).dtype
        epsilon = self.constant(found.get('epsilon', 1e-5), f'{node.output[0]}.epsilon', dtype)
        mean = partial(add, 'ReduceMean', axes=list(range(axis, 0)))
        centered = add('Sub', x, mean(x))
        variance = mean(add('Mul', centered, centered))
        normal = add('Div', centered, add('Sqrt', add('Add', variance, epsilon)))
        last = add('Mul', normal, weight, out='' if bias else node.output[0])
        if bias:
            add('Add', last, bias[0], out=node.output[0])
        return nodes

    def shape(self, node: Any) -> list[Any]:
        """Take some sides by a slice of the whole shape."""
        ends = {a.name: a.i for a in node.attribute}
        if not ends:
            return [node]
        out, whole = node.output[0], f'{node.output[0]}.all'
        start = self.constant([ends.get('start', 0)], f'{out}.start')
        end = self.constant([ends.get('end', np.iinfo(np.int64).max)], f'{out}.end')
        make = self.onnx.helper.make_node
        return [
            make('Shape', [node.input[0]], [whole], node.name),
            make('Slice', [whole, start, end], [out], f'{node.name}.part'),
        ]
