"""Finds what a quantized ONNX graph keeps in float: warps, gates and the classifier.

256 levels over a map of 512 columns are steps of two pixels: positions in eight bits move borders.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import require

from .parity import INSTALL
from .portable_warp import PREFIX

PARTS = ('warp', 'gate', 'classifier')


def check_parts(keep: Iterable[str]) -> None:
    """Refuse an unknown part.

    Raises:
        ValueError: It is not one of ``PARTS``.
    """
    for part in keep:
        if part not in PARTS:
            raise ValueError(f'--keep {part!r} is not one of {", ".join(PARTS)}')


def float_nodes(proto: Any, keep: Sequence[str] = PARTS) -> list[str]:
    """Names of the nodes of an ONNX graph that stay in float.

    Args:
        proto: The graph, an ``onnx.ModelProto``; every node has a name.
        keep: Some of ``PARTS``. ``'warp'`` is what lies between the flow convolution and the
            sampler, and the sampler. ``'gate'`` is what adds a warped map to another one, with the
            gate of GD-FAM behind its last convolution. ``'classifier'`` is the last convolution and
            all behind it.

    Raises:
        ValueError: An unknown part.
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
    """Who makes and who reads each value of a graph."""

    def __init__(self, proto: Any) -> None:
        to_array = require('onnx', INSTALL).numpy_helper.to_array
        self.nodes = list(proto.graph.node)
        self.outputs = [value.name for value in proto.graph.output]
        self.made_by = {name: node for node in self.nodes for name in node.output}
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

    def learned(self, node: Any) -> bool:
        """Whether a node is a convolution with trained weights.

        The inference form shifts and adds maps by convolutions whose kernels hold ones and zeros.
        """
        if node.op_type != 'Conv':
            return False
        kernel = self.kernels.get(node.input[1])
        return kernel is None or not np.isin(kernel, (0, 1)).all()

    def back_to_convolution(self, names: Iterable[str]) -> Iterator[Any]:
        """All nodes that some values are made by, up to the convolutions with trained weights."""
        waiting, seen = list(names), set()
        while waiting:
            node = self.made_by.get(waiting.pop())
            if node is None or node.name in seen or self.learned(node):
                continue
            seen.add(node.name)
            yield node
            waiting.extend(node.input)

    def samplers(self) -> list[Any]:
        """The nodes that read a map at positions."""
        return [n for n in self.nodes if n.op_type == 'GridSample' or n.name.startswith(PREFIX)]


def _warps(graph: _Graph) -> Iterator[Any]:
    yield from graph.samplers()
    grids = [node.input[1] for node in graph.nodes if node.op_type == 'GridSample']
    named = (node for node in graph.nodes if node.name.startswith(PREFIX))
    grids += [node.input[0] for node in named if node.name.endswith('.grid')]
    yield from graph.back_to_convolution(grids)


def _gates(graph: _Graph) -> Iterator[Any]:
    """``low + gate * (high - low)``, or a sum of a warped map and another one."""
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
        if name in graph.made_by and graph.learned(graph.made_by[name]):
            yield graph.made_by[name]
