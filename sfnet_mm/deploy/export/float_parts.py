"""Finds the nodes that a quantized ONNX graph keeps in float: warps, gates, the classifier.

Positions in eight bits would move the borders of regions: over a map of 512 columns, 256 levels are
steps of two pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import require

from .onnx_graph import makers, walk_back
from .parity import INSTALL
from .portable_warp import PREFIX

PARTS = ('warp', 'gate', 'classifier')


def check_parts(keep: Iterable[str]) -> None:
    """Raise a ValueError for a part that is not one of ``PARTS``."""
    for part in keep:
        if part not in PARTS:
            raise ValueError(f'--keep {part!r} is not one of {", ".join(PARTS)}')


def float_nodes(proto: Any, keep: Sequence[str] = PARTS) -> list[str]:
    """List the names of the nodes of an ONNX graph that stay in float.

    Args:
        proto: The graph, an ``onnx.ModelProto``; every node has a name.
        keep: Some of ``PARTS``. ``'warp'`` stands for the nodes from the flow convolution to the
            sampler. ``'gate'`` stands for the sums of a warped map and another map, with the nodes
            of GD-FAM's gate after its last convolution. ``'classifier'`` stands for the last
            convolution and all nodes after it.

    Raises:
        ValueError: A part is unknown.
    """
    check_parts(keep)
    graph = _Graph(proto)
    found: set[str] = set()
    finders: dict[str, Callable[[_Graph], Iterator[Any]]] = {
        'warp': _warps,
        'gate': _gates,
        'classifier': _classifier,
    }
    for part in keep:
        found.update(node.name for node in finders[part](graph))
    return sorted(found)


class _Graph:
    """The nodes that produce and that read each value of a graph."""

    def __init__(self, proto: Any) -> None:
        to_array = require('onnx', INSTALL).numpy_helper.to_array
        self.nodes = list(proto.graph.node)
        self.outputs = [value.name for value in proto.graph.output]
        self.made_by = makers(self.nodes)
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        kernels = {node.input[1] for node in self.nodes if node.op_type == 'Conv'}
        self.kernels = {
            value.name: to_array(value)
            for value in proto.graph.initializer
            if value.name in kernels
        }

    def is_trained_convolution(self, node: Any) -> bool:
        """Return whether a node is a convolution with trained weights.

        The inference form shifts and adds maps by convolutions whose kernels hold ones and zeros.
        """
        if node.op_type != 'Conv':
            return False
        kernel = self.kernels.get(node.input[1])
        return kernel is None or not np.isin(kernel, (0, 1)).all()

    def back_to_convolution(self, names: Iterable[str]) -> Iterator[Any]:
        """Yield the nodes that produce some values, back to convolutions with trained weights."""
        return walk_back(self.made_by, names, self.is_trained_convolution)

    def samplers(self) -> list[Any]:
        """List the nodes that sample a map at positions."""
        return [n for n in self.nodes if n.op_type == 'GridSample' or n.name.startswith(PREFIX)]


def _warps(graph: _Graph) -> Iterator[Any]:
    yield from graph.samplers()
    grids = [node.input[1] for node in graph.nodes if node.op_type == 'GridSample']
    named = (node for node in graph.nodes if node.name.startswith(PREFIX))
    grids += [node.input[0] for node in named if node.name.endswith('.grid')]
    yield from graph.back_to_convolution(grids)


def _gates(graph: _Graph) -> Iterator[Any]:
    """Yield the nodes of ``low + gate * (high - low)``, or of a sum with a warped map."""
    inside = {node.name for node in graph.samplers()}
    waiting = [name for node in graph.samplers() for name in node.output]
    seen: set[str] = set()
    while waiting:
        value = waiting.pop()
        for node in graph.readers.get(value, ()):
            if node.name in inside or node.name in seen:
                continue
            if node.op_type not in ('Add', 'Mul', 'Reshape', 'Sub'):
                continue
            seen.add(node.name)
            yield node
            if node.op_type == 'Mul':
                yield from graph.back_to_convolution(n for n in node.input if n != value)
            if node.op_type != 'Add':
                waiting.extend(node.output)


def _classifier(graph: _Graph) -> Iterator[Any]:
    behind = list(graph.back_to_convolution(graph.outputs))
    yield from behind
    for name in {name for node in behind for name in node.input}.union(graph.outputs):
        if name in graph.made_by and graph.is_trained_convolution(graph.made_by[name]):
            yield graph.made_by[name]
