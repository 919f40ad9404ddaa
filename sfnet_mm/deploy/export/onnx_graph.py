"""Traces a module into an ONNX graph, counts its nodes, converts it and writes it."""

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sfnet_mm.utils.tooling import atomic_file, first_line, require

from .parity import INSTALL, Parity

OPSET = 18


def count_nodes(path: str, op_type: str = 'GridSample') -> int:
    """Count the nodes of a type in an ONNX file."""
    return sum(node.op_type == op_type for node in require('onnx', INSTALL).load(path).graph.node)


def trace(
    module: nn.Module,
    sample: Tensor,
    output_names: Sequence[str],
    dynamic_shapes: Sequence[dict[int, Any]] | None = None,
) -> Any:
    """Trace a module on a sample into an ONNX graph.

    Args:
        module: Module in evaluation mode that takes one tensor, which the graph calls ``image``.
        sample: An input of the module.
        output_names: Names of the outputs of the graph.
        dynamic_shapes: The argument of ``torch.onnx.export``.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        # The exporter warns that torchvision is missing, which is not used here.
        logging.getLogger('torch.onnx._internal.exporter._registration').setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            (sample,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic_shapes,
            input_names=['image'],
            output_names=list(output_names),
            verbose=False,
        )
    return program.model_proto


def read_onnx(path: str, **options: Any) -> Any:
    """Read an ``onnx.ModelProto`` with the options of ``onnx.load``.

    Raises:
        ValueError: The file is not an ONNX file.
    """
    onnx = require('onnx', INSTALL)
    try:
        proto = onnx.load(path, **options)
    except Exception as e:
        raise ValueError(f'{path} cannot be read as ONNX: {first_line(e)}') from None
    if not proto.graph.node:  # An empty file is a valid message.
        raise ValueError(f'{path} cannot be read as ONNX: it has no graph')
    return proto


def store_metadata(proto: Any, meta: dict[str, Any]) -> None:
    """Replace all metadata of a graph, and store each entry as JSON."""
    del proto.metadata_props[:]
    texts = {key: json.dumps(value) for key, value in meta.items()}
    require('onnx', INSTALL).helper.set_model_props(proto, texts)


def write_checked(
    proto: Any, meta: dict[str, Any], path: str, compare: Callable[[str], list[Parity]]
) -> list[Parity]:
    """Write a graph to a file that appears only if the comparison holds.

    Args:
        proto: The graph.
        meta: Metadata, each entry of which is stored as JSON.
        path: Path of the file.
        compare: Function that compares a file with torch and raises if they disagree.

    Returns:
        list[Parity]: The result of ``compare``.
    """
    onnx = require('onnx', INSTALL)
    store_metadata(proto, meta)
    with atomic_file(path) as temporary:
        onnx.save(proto, temporary)
        return compare(temporary)


def check_path(path: str) -> None:
    """Refuse a path that does not end in ``.onnx``, or raise an ImportError without onnx."""
    if not path.endswith('.onnx'):
        raise ValueError(f'{path} must end in .onnx')
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        require(package, INSTALL)


def makers(nodes: Iterable[Any]) -> dict[str, Any]:
    """Map the name of each value to the node that produces it."""
    return {name: node for node in nodes for name in node.output}


def walk_back(
    made_by: Mapping[str, Any], values: Iterable[str], is_end: Callable[[Any], bool]
) -> Iterator[Any]:
    """Yield the nodes that produce some values, back to those where ``is_end`` holds.

    Args:
        made_by: See :func:`makers`.
        values: Names of the values.
        is_end: Function of a node; one where it holds is not yielded.
    """
    waiting, seen = list(values), set()
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in seen or is_end(node):
            continue
        seen.add(node.name)
        yield node
        waiting.extend(node.input)


def to_float16(proto: Any) -> Any:
    """Convert a graph to float16, except for GridSample and the nodes that make its grid."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as e:
        raise ImportError(f'fp16 needs onnxruntime.transformers ({e}): {INSTALL}') from None
    samplers = [node for node in proto.graph.node if node.op_type == 'GridSample']
    grids = [node.input[1] for node in samplers]
    # The map that another GridSample gives is no part of a grid.
    ends = ('Conv', 'GridSample')
    before = walk_back(makers(proto.graph.node), grids, lambda node: node.op_type in ends)
    blocked = sorted({node.name for node in (*samplers, *before)})
    proto = convert_float_to_float16(proto, keep_io_types=True, node_block_list=blocked)
    # The converter does not update the types of the values that it leaves in float32.
    del proto.graph.value_info[:]
    return proto
