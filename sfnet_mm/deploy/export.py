"""Writes a segmentor as an ONNX file and checks the file against torch.

The graph holds standard operators only, ``GridSample`` for the warp among them: three for SFNet,
two for SFNet-Lite, none for a model without flow.
"""

import contextlib
import copy
import json
import logging
import os
import os.path as osp
import warnings
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.utils import mkdir_or_exist
from mmseg.models import BaseSegmentor
from torch import Tensor

from sfnet_mm.version import __version__

from .optimize import InferenceModel, optimize

OPSET = 18
INSTALL = 'pip install -r requirements/deploy.txt'
# Least agreement with torch: largest difference of logits, relative to their size where that is
# above one, and share of pixels with the same class.
TOLERANCE = {'float32': 1e-4, 'float16': 5e-2}
AGREEMENT = {'float32': 0.999, 'float16': 0.99}


@dataclass
class Parity:
    """How a runtime compares with torch on one image.

    Attributes:
        difference: Largest absolute difference of logits; None where the graph ends in classes.
        agreement: Share of pixels with the same class.
        size: (height, width) of the image.
        largest: Largest absolute logit of torch.
    """

    difference: Optional[float]
    agreement: float
    size: Tuple[int, int]
    largest: float = 0.0

    def within(self, precision: str) -> bool:
        """Whether the runtime agrees with torch as far as a precision allows."""
        # Rounding grows with the numbers that are rounded: torch is as far from float64.
        limit = TOLERANCE[precision] * max(1.0, self.largest)
        close = self.difference is None or self.difference <= limit
        return close and self.agreement >= AGREEMENT[precision]

    def __str__(self) -> str:
        logits = '' if self.difference is None else f'logits differ by {self.difference:.1e}, '
        return f'{self.size[0]}x{self.size[1]}: {logits}classes agree on {self.agreement:.4%}'


class ExportModel(nn.Module):
    """What becomes the graph: the inference form, with normalisation in front if wanted.

    Args:
        form: Inference form of the segmentor.
        mean: Of the channels in the order of the training (RGB).
        std: As ``mean``.
        swap: Whether raw images (BGR) are to be brought to that order.
        normalize: Take raw images (N, H, W, 3) uint8, BGR, instead of normalised (N, 3, H, W).
    """

    def __init__(
        self, form: InferenceModel, mean: List[float], std: List[float], swap: bool, normalize: bool
    ) -> None:
        super().__init__()
        self.form, self.swap, self.normalize = form, swap, normalize
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Logits, float32, or classes, int32."""
        if self.normalize:
            image = image.permute(0, 3, 1, 2).float()
            if self.swap:
                image = image.flip(1)
            image = (image - self.mean) / self.std
        out = self.form(image)
        return out.to(torch.int32) if self.form.output == 'argmax' else out

    def sample(self, batch: int, size: Tuple[int, int], seed: int = 0) -> Tensor:
        """A random input of the graph."""
        generator = torch.Generator().manual_seed(seed)
        if self.normalize:
            return torch.randint(0, 256, (batch, *size, 3), generator=generator, dtype=torch.uint8)
        return torch.randn(batch, 3, *size, generator=generator)


def export_onnx(
    model: BaseSegmentor,
    path: str,
    size: Tuple[int, int] = (1024, 2048),
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
    dynamic: bool = False,
    fp16: bool = False,
) -> List[Parity]:
    """Export a segmentor, then compare the file in ONNX Runtime with torch.

    The file appears only if the comparison holds.

    Args:
        model: In evaluation mode.
        path: Of the file to write, ending in ``.onnx``.
        size: (height, width) of the image; with ``dynamic`` only of the example.
        output: ``'argmax'`` (int32 classes (N, h, w)) or ``'logits'`` (float32 (N, K, h, w)).
        output_size: ``'full'`` or ``'stride'``, see :func:`sfnet_mm.deploy.optimize`.
        normalize: Put the normalisation of raw images into the graph, see :class:`ExportModel`.
        dynamic: Leave batch size, height and width open.
        fp16: Compute in float16, all but the positions of the warp and ``GridSample`` itself;
            inputs and outputs stay float32.

    Returns:
        list[Parity]: One comparison, or two of different sizes with ``dynamic``.

    Raises:
        ImportError: A package for the export is not installed; says how to install them.
        ValueError: A bad argument, or a size too small for the context pooling.
        RuntimeError: The file does not agree with torch; it is not written.
    """
    if not path.endswith('.onnx'):
        raise ValueError(f'{path} must end in .onnx')
    check_size(size)
    onnx = _import('onnx')
    _import('onnxscript')
    _import('onnxruntime')
    if next(model.parameters()).is_cuda:
        # On CUDA the sampler is cuDNN's, which the exporter does not know.
        raise ValueError('the model is on a CUDA device: export it from the CPU')
    wrapped = wrap(model, output, output_size, normalize)
    sample = wrapped.sample(2 if dynamic else 1, size)
    proto = _trace(wrapped, sample, dynamic)
    if fp16:
        proto = _to_float16(proto)
    meta = metadata(model, wrapped, None if dynamic else size, fp16)
    onnx.helper.set_model_props(proto, {k: json.dumps(v) for k, v in meta.items()})
    mkdir_or_exist(osp.dirname(osp.abspath(path)))
    temporary = f'{path}.{os.getpid()}.tmp'
    onnx.save(proto, temporary)
    try:
        sizes = [size, (size[0] + 37, max(64, size[1] - 45))] if dynamic else [size]
        precision = 'float16' if fp16 else 'float32'
        parities = [compare_with_torch(wrapped, temporary, s, precision) for s in sizes]
        _judge(parities, precision)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
    return parities


def wrap(
    model: BaseSegmentor, output: str = 'argmax', output_size: str = 'full', normalize: bool = False
) -> ExportModel:
    """The graph of :func:`export_onnx` as a module."""
    pre = model.data_preprocessor
    form = optimize(model, rearrange=True, output=output, output_size=output_size, verbose=False)
    mean, std = (getattr(pre, name).flatten().tolist() for name in ('mean', 'std'))
    return ExportModel(form, mean, std, bool(pre.channel_conversion), normalize).eval()


def metadata(
    model: BaseSegmentor, wrapped: ExportModel, size: Optional[Tuple[int, int]], fp16: bool = False
) -> Dict[str, Any]:
    """What a user of the graph has to know; each entry is stored as JSON in the file."""
    meta = getattr(model, 'dataset_meta', None) or {}
    return {
        'sfnet_mm': __version__,
        'input': 'raw' if wrapped.normalize else 'normalized',
        'size': size,
        'mean': wrapped.mean.flatten().tolist(),
        'std': wrapped.std.flatten().tolist(),
        'bgr_to_rgb': wrapped.swap,
        'output': wrapped.form.output,
        'output_size': wrapped.form.output_size,
        'align_corners': wrapped.form.align_corners,
        'precision': 'float16' if fp16 else 'float32',
        'classes': list(meta.get('classes') or ()),
        'palette': [list(c) for c in meta.get('palette') or ()],
    }


def check_size(size: Tuple[int, int]) -> None:
    """Refuse a size whose last map is too small for the context pooling; warn where cells repeat.

    Raises:
        ValueError: A side below 64 pixels, which is two pixels at stride 32.
    """
    if min(size) < 64:
        raise ValueError(
            f'size {size[0]}x{size[1]} is too small for the context pooling: '
            'each side needs 64 pixels or more'
        )
    if min(size) < 192:
        warnings.warn(
            f'size {size[0]}x{size[1]} leaves the context pooling fewer pixels than its 6x6 cells',
            stacklevel=2,
        )


def compare_with_torch(
    wrapped: ExportModel, path: str, size: Tuple[int, int], precision: str = 'float32'
) -> Parity:
    """Run a file in ONNX Runtime and its module in torch on one random image."""
    session = _import('onnxruntime').InferenceSession(path, providers=['CPUExecutionProvider'])
    sample = wrapped.sample(1, size, seed=1)
    with torch.no_grad():
        expected = wrapped(sample).numpy()
    got = session.run(None, {session.get_inputs()[0].name: sample.numpy()})[0]
    found = parity(expected, got, size)
    if found.within(precision) or precision != 'float32' or not sample.is_floating_point():
        return found
    # In deep networks, torch's own rounding can be the larger part of the difference.
    return parity(exact(wrapped, sample), got, size)


@torch.no_grad()
def exact(wrapped: ExportModel, sample: Tensor) -> np.ndarray:
    """The output of float64 arithmetic with the same weights, as float32."""
    return copy.deepcopy(wrapped).double()(sample.double()).float().numpy()


def parity(expected: np.ndarray, got: np.ndarray, size: Tuple[int, int]) -> Parity:
    """Compare two outputs: logits (N, K, H, W) or classes (N, H, W).

    Raises:
        RuntimeError: They differ in shape.
    """
    if expected.shape != got.shape:
        raise RuntimeError(f'the output is {got.shape}, torch gives {expected.shape}')
    if expected.ndim == 3:
        return Parity(None, float((expected == got).mean()), size)
    same = float((expected.argmax(1) == got.argmax(1)).mean())
    return Parity(float(np.abs(expected - got).max()), same, size, float(np.abs(expected).max()))


def count_nodes(path: str, op_type: str = 'GridSample') -> int:
    """How many nodes of a type are in an ONNX file."""
    return sum(node.op_type == op_type for node in _import('onnx').load(path).graph.node)


def _judge(parities: List[Parity], precision: str) -> None:
    for p in parities:
        if not p.within(precision):
            raise RuntimeError(f'ONNX Runtime does not agree with torch, nothing was written: {p}')


def _trace(wrapped: ExportModel, sample: Tensor, dynamic: bool) -> Any:
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


def _to_float16(proto: Any) -> Any:
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


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(f'{name} is not installed: {INSTALL}') from None
