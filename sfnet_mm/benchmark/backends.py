"""Makes the forward pass of a model for each backend of a benchmark."""

import contextlib
import copy
import os.path as osp
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from sfnet_mm.deploy.inference import InferenceModel, optimize
from sfnet_mm.deploy.inference.folding import fold_batchnorm
from sfnet_mm.deploy.model import input_channels
from sfnet_mm.ops.loader import EXT

from .authors_composition import to_authors_composition
from .files import PRECISIONS, FileCall

BACKENDS = (
    'authors',
    'native',
    'ext',
    'optimize',
    'compile',
    'graph',
    'compile-graph',
    'onnxruntime',
    'openvino',
)
# These names were used up to version 0.1.
FORMER_NAMES = {'release': 'authors', 'torch': 'native'}
_HALF = '@float16'


@dataclass
class Settings:
    """Settings of a benchmark.

    Args:
        size: (height, width) of the image. The batch size is one.
        device: Device of torch, such as ``'cpu'`` or ``'cuda:0'``.
        output: ``'argmax'`` or ``'logits'``; either is at the size of the image.
        half: Whether to compute in float16, which needs CUDA.
        rounds: Number of times that every entry is timed.
        repeats: Number of forward passes per timing.
        warmup: Number of forward passes before the first round.
        threads: Number of CPU threads; 0 leaves the number to each runtime.
        cache: Folder for exported files.
        checkpoint: Checkpoint of the only model; None leaves its weights random. With a
            checkpoint, files are also scored on the val set of the config.
        samples: Number of training images that calibrate an INT8 file of the checkpoint.
    """

    size: tuple[int, int] = (1024, 2048)
    device: str = 'cpu'
    output: str = 'argmax'
    half: bool = False
    rounds: int = 7
    repeats: int = 1
    warmup: int = 2
    threads: int = 0
    cache: str = osp.join('work_dirs', 'benchmark')
    checkpoint: str | None = None
    samples: int = 300


def check_backend(backend: str, settings: 'Settings') -> None:
    """Raise a ValueError if a backend or its precision is unknown, or needs a CUDA device."""
    name, _, precision = backend.partition('@')
    if name not in BACKENDS:
        raise ValueError(f'backend {backend!r} is not one of {", ".join(BACKENDS)}')
    if not precision or precision in PRECISIONS.get(name, ()):
        return
    if f'@{precision}' != _HALF:
        known = ', '.join(f'{b}@{p}' for b, kinds in PRECISIONS.items() for p in kinds)
        raise ValueError(f'backend {backend!r} has no such precision: there are {known}')
    if not settings.device.startswith('cuda'):
        raise ValueError(f'backend {backend!r} needs a CUDA device: float16 is slow on a CPU')


def parse_backends(text: str) -> list[str]:
    """Parse backends separated by commas, such as ``authors,ext@float16``, also former names."""
    found = []
    for backend in text.split(','):
        name, at, precision = backend.partition('@')
        found.append(FORMER_NAMES.get(name, name) + at + precision)
    return found


def add_precisions(backends: list[str], precisions: list[str]) -> list[str]:
    """List the backends, with those that read files repeated in each precision that they have.

    Raises:
        ValueError: No backend has one of the precisions.
    """
    known = {'f32', *(p for kinds in PRECISIONS.values() for p in kinds)}
    for precision in precisions:
        if precision not in known:
            raise ValueError(f'precision {precision!r} is not one of {", ".join(sorted(known))}')
    found = []
    for backend in backends:
        if 'f32' in precisions or backend not in PRECISIONS:
            found.append(backend)
        found += [f'{backend}@{p}' for p in precisions if p in PRECISIONS.get(backend, ())]
    return found


def make_call(
    name: str, backend: str, model: nn.Module, sample: Tensor, settings: Settings
) -> Callable[[], Any]:
    """Make a function that runs one forward pass of a model on a backend.

    Args:
        name: Name of the model, for the file that a graph runtime reads.
        backend: One of ``BACKENDS``. A suffix sets another precision: ``@float16`` for torch, or
            ``@`` and one of ``PRECISIONS`` for a backend that reads files.
        model: A segmentor in evaluation mode.
        sample: Normalized image (1, 3, H, W) on the CPU.
        settings: Settings of the benchmark.
    """
    if backend.endswith(_HALF):
        backend, settings = backend[: -len(_HALF)], replace(settings, half=True)
    if backend.partition('@')[0] in PRECISIONS and isinstance(model, EncoderDecoder):
        return FileCall(name, backend, model, sample, settings)
    return _torch_call(backend, model, sample, settings)


def _torch_call(
    backend: str, model: nn.Module, sample: Tensor, settings: Settings
) -> Callable[[], Tensor]:
    if not isinstance(model, EncoderDecoder):
        form = panoptic_form(model, backend)
    elif backend == 'authors':
        # The authors' code neither folds batch normalization nor changes the layout.
        form = InferenceModel(to_authors_composition(copy.deepcopy(model)), settings.output).eval()
        form.channels_last = False
    else:
        rearrange = None if backend in ('optimize', 'compile', 'compile-graph') else False
        form = optimize(model, rearrange, settings.output, verbose=False)
    sample = sample.to(settings.device)
    if settings.half:
        form, sample = form.half(), sample.half()
    if backend in ('graph', 'compile-graph') and not sample.is_cuda:
        raise ValueError('CUDA graphs need a CUDA device')
    if backend == 'compile':
        form = torch.compile(form, dynamic=False)
    elif backend == 'compile-graph':
        form = torch.compile(form, dynamic=False, mode='reduce-overhead')
    elif backend == 'graph':
        return _graph_call(form, sample)
    warp = EXT.switched_off if backend == 'native' else contextlib.nullcontext

    def call() -> Tensor:
        with torch.inference_mode(), warp():
            return form(sample)

    return call


def panoptic_form(model: nn.Module, backend: str) -> nn.Module:
    """Copy a panoptic model into a module that ends in its panoptic map, for a backend.

    Raises:
        ValueError: The backend is none of ``authors``, ``native`` and ``ext``.
    """
    from sfnet_mm.panoptic.inference import PanopticInferenceModel

    form = PanopticInferenceModel(copy.deepcopy(model)).eval().requires_grad_(False)
    if backend == 'authors':
        to_authors_composition(form.model)
    elif backend in ('native', 'ext'):
        sample = torch.rand(1, input_channels(model), 128, 128)
        fold_batchnorm(form, sample.to(next(form.parameters()).device))
        form.channels_last = True
        form.to(memory_format=torch.channels_last)
    else:
        raise ValueError('panoptic models are timed with post-processing: on authors, native, ext')
    return form


def _graph_call(form: nn.Module, sample: Tensor) -> Callable[[], Tensor]:
    """Capture the model in a CUDA graph, which has one launch and allocates its buffers once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            form(sample)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        out = form(sample)

    # The graph reads the memory of the weights and of the sample, so they must live as long.
    return partial(_replay, graph, out, (form, sample))


def _replay(graph: torch.cuda.CUDAGraph, out: Tensor, held: tuple[nn.Module, Tensor]) -> Tensor:
    graph.replay()
    return out
