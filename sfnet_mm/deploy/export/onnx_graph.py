"""Traces a module into an ONNX graph, and changes and counts what is in one."""

import contextlib
import logging
import warnings
from typing import Any, Iterator

import torch
from torch import Tensor

from sfnet_mm.utils.tooling import require

from .export_model import ExportModel

OPSET = 18
INSTALL = 'pip install -r requirements/deploy.txt'


def count_nodes(path: str, op_type: str = 'GridSample') -> int:
    """How many nodes of a type are in an ONNX file."""
    return sum(node.op_type == op_type for node in require('onnx', INSTALL).load(path).graph.node)


def trace(wrapped: ExportModel, sample: Tensor, dynamic: bool) -> Any:
    """The graph of a module, run on a sample; ``dynamic`` leaves batch, height and width open."""
    shapes = None
    if dynamic:
        rows = 1 if wrapped.normalize else 2
        auto = torch.export.Dim.DYNAMIC
        shapes = ({0: auto, rows: auto, rows + 1: auto},)
    name = 'mask' if wrapped.form.output == 'argmax' else 'logits'
    with warnings.catch_warnings(), torch.no_grad(), _open_linspace(dynamic):
        warnings.simplefilter('ignore')
        # It warns about torchvision, which nothing here uses.
        logging.getLogger('torch.onnx._internal.exporter._registration').setLevel(logging.ERROR)
        program = torch.onnx.export(
            wrapped,
            (sample,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=shapes,
            input_names=['image'],
            output_names=[name],
            verbose=False,
        )
    return program.model_proto


@contextlib.contextmanager
def _open_linspace(dynamic: bool) -> Iterator[None]:
    """Trace ``linspace`` as ``arange``: its number of steps would become a constant."""
    original = torch.linspace

    def linspace(start: float, end: float, steps: int, **kwargs: Any) -> Tensor:
        return torch.arange(steps, **kwargs) * ((end - start) / (steps - 1)) + start

    if dynamic:
        torch.linspace = linspace
    try:
        yield
    finally:
        torch.linspace = original


def to_float16(proto: Any) -> Any:
    """Convert a graph to float16, but for GridSample and what computes its grid from the flow."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as e:
        raise ImportError(f'fp16 needs onnxruntime.transformers ({e}): {INSTALL}') from None
    made_by = {name: node for node in proto.graph.node for name in node.output}
    blocked = set()
    for node in proto.graph.node:
        if node.op_type != 'GridSample':
            continue
        blocked.add(node.name)
        pending = [node.input[1]]
        while pending:
            maker = made_by.get(pending.pop())
            if maker is not None and maker.op_type != 'Conv' and maker.name not in blocked:
                blocked.add(maker.name)
                pending.extend(maker.input)
    proto = convert_float_to_float16(proto, keep_io_types=True, node_block_list=sorted(blocked))
    # The converter leaves the old types of what it left in float32.
    del proto.graph.value_info[:]
    return proto
