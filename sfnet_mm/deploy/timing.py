"""Times many models side by side: one process, one device, rounds interleaved."""

import contextlib
import copy
import gc
import hashlib
import os.path as osp
import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.utils import ProgressBar
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from sfnet_mm.ops import has_ext
from sfnet_mm.ops._loader import EXT
from sfnet_mm.version import __version__

from .export import check_size, export_onnx
from .measuring import complexity, peak_memory
from .memory import reuse_memory
from .model import load_model
from .optimize import InferenceModel, optimize
from .panoptic_export import is_panoptic, load_panoptic
from .panoptic_form import panoptic_form
from .release_form import to_release_form
from .runtimes import OnnxRuntime, OpenVINORuntime

BACKENDS = ('release', 'torch', 'ext', 'optimize', 'compile', 'graph', 'onnxruntime', 'openvino')


@dataclass
class Settings:
    """How a benchmark runs.

    Args:
        size: (height, width) of the image; the batch is one image.
        device: Of torch.
        output: ``'argmax'`` or ``'logits'``, both at the size of the image.
        half: float16, on CUDA.
        rounds: How often every entry is timed.
        repeats: Forward passes per timing.
        warmup: Forward passes before the first round.
        threads: CPU threads; 0 leaves the number to each runtime.
        cache: Folder for exported files.
    """

    size: Tuple[int, int] = (1024, 2048)
    device: str = 'cpu'
    output: str = 'argmax'
    half: bool = False
    rounds: int = 7
    repeats: int = 1
    warmup: int = 2
    threads: int = 0
    cache: str = osp.join('work_dirs', 'benchmark')


@dataclass
class Entry:
    """One model on one backend.

    Attributes:
        name: Of the model.
        backend: See ``BACKENDS``.
        parameters: Of what runs at inference, before folding.
        macs: Multiply-adds of convolutions and matrix products at the size of the benchmark.
        milliseconds: One value per round.
        memory: Peak bytes above what was in use before the model was called; None if unknown.
        failure: Why there are no timings; empty if there are.
    """

    name: str
    backend: str
    parameters: int = 0
    macs: int = 0
    milliseconds: List[float] = field(default_factory=list)
    memory: Optional[int] = None
    failure: str = ''

    @property
    def median(self) -> float:
        """Median time of a forward pass in milliseconds."""
        return statistics.median(self.milliseconds)

    @property
    def fps(self) -> float:
        """Images per second at the median."""
        return 1000 / self.median

    def to_dict(self) -> Dict[str, Any]:
        """As JSON wants it, with the median."""
        found = asdict(self)
        if self.milliseconds:
            found.update(median=round(self.median, 3), fps=round(self.fps, 3))
        found['milliseconds'] = [round(m, 3) for m in self.milliseconds]
        return found


def run_benchmark(
    models: Dict[str, Config],
    backends: List[str],
    settings: Settings,
    on_round: Optional[Callable[[List[Entry]], None]] = None,
) -> List[Entry]:
    """Time every model on every backend.

    All are made and warmed up first; then each round times each of them once, so that a drift of
    the machine (heat, other work) hits all alike. Weights are random. A model that a backend cannot
    run becomes an entry with its ``failure``.

    Args:
        models: Name -> config.
        backends: Some of ``BACKENDS``.
        settings: How to run.
        on_round: Called with the entries after every round.

    Returns:
        list[Entry]: Model by model.

    Raises:
        ValueError: An unknown backend, a size that is too small, or a device that is not there.
        RuntimeError: The backend ``ext`` without the compiled warp.
    """
    check_size(settings.size)
    for backend in backends:
        if backend not in BACKENDS:
            raise ValueError(f'backend {backend!r} is not one of {", ".join(BACKENDS)}')
    if 'ext' in backends and not has_ext():
        raise RuntimeError("backend 'ext' needs the compiled warp: make install-ops")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True
    entries, calls = [], []
    progress = ProgressBar(len(models) * len(backends))
    for name, cfg in models.items():
        torch.manual_seed(0)
        if is_panoptic(cfg):
            model = load_panoptic(cfg, None, settings.device)
        else:
            model = load_model(cfg, None, settings.device)
        counts = complexity(model, settings.size)
        for backend in backends:
            entry = Entry(name, backend, *counts)
            entries.append(entry)
            try:
                calls.append((entry, _prepare(entry, model, settings)))
            except Exception as e:
                entry.failure = str(e).strip().split('\n')[0][:200]
            progress.update()
    print()
    # Models on one backend are neighbours, every other round in reverse: they are what is compared,
    # and a machine that others use as well drifts within a round.
    calls.sort(key=lambda made: backends.index(made[0].backend))
    progress = ProgressBar(settings.rounds * len(calls))
    for turn in range(settings.rounds):
        for entry, call in calls if turn % 2 == 0 else reversed(calls):
            entry.milliseconds.append(_time(call, entry.backend, settings))
            progress.update()
        if on_round:
            on_round(entries)
    print()
    return entries


def _prepare(entry: Entry, model: nn.Module, settings: Settings) -> Callable[[], Any]:
    """The call to be timed, warmed up; notes its peak memory."""
    sample = torch.randn(1, 3, *settings.size, generator=torch.Generator().manual_seed(0))
    if entry.backend in ('onnxruntime', 'openvino') and isinstance(model, EncoderDecoder):
        call = _file_call(entry, model, sample, settings)
    else:
        call = _torch_call(entry.backend, model, sample, settings)
    gc.collect()
    call()
    reuse_memory(False)
    entry.memory = peak_memory(call, settings.device)
    for _ in range(settings.warmup):
        call()
    return call


def _torch_call(
    backend: str, model: nn.Module, sample: Tensor, settings: Settings
) -> Callable[[], Tensor]:
    if not isinstance(model, EncoderDecoder):
        form = panoptic_form(model, backend)
    elif backend == 'release':
        # Neither folded nor in another layout: what the public code runs.
        form = InferenceModel(to_release_form(copy.deepcopy(model)), settings.output).eval()
        form.memory_format = torch.contiguous_format
    else:
        rearrange = None if backend == 'optimize' else False
        form = optimize(model, rearrange, settings.output, verbose=False)
        form.requires_grad_(False)
    sample = sample.to(settings.device)
    if settings.half:
        form, sample = form.half(), sample.half()
    if backend == 'compile':
        form = torch.compile(form, dynamic=False)
    elif backend == 'graph':
        return _graph_call(form, sample)
    warp = EXT.switched_off if backend == 'torch' else contextlib.nullcontext

    def call() -> Tensor:
        with torch.inference_mode(), warp():
            return form(sample)

    return call


def _graph_call(form: nn.Module, sample: Tensor) -> Callable[[], Tensor]:
    """A CUDA graph of the model: one launch, all buffers allocated once."""
    if not sample.is_cuda:
        raise ValueError('CUDA graphs need a CUDA device')
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            form(sample)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        out = form(sample)

    def call() -> Tensor:
        graph.replay()
        return out

    return call


def _file_call(
    entry: Entry, model: nn.Module, sample: Tensor, settings: Settings
) -> Callable[[], Any]:
    height, width = settings.size
    # What was made by another config or release is exported again.
    made_by = (__version__, torch.__version__, str(model.cfg.model))
    digest = hashlib.sha256('\n'.join(made_by).encode()).hexdigest()[:8]
    stem = f'{entry.name}_{digest}_{height}x{width}_{settings.output}'
    path = osp.join(settings.cache, f'{stem}.onnx')
    if not osp.isfile(path):
        export_onnx(copy.deepcopy(model).cpu(), path, settings.size, settings.output)
    kind = OnnxRuntime if entry.backend == 'onnxruntime' else OpenVINORuntime
    runtime = kind(path, threads=settings.threads)
    data = sample.numpy()
    return lambda: runtime.infer(data)


def _time(call: Callable[[], Any], backend: str, settings: Settings) -> float:
    """Milliseconds of one forward pass, after one that is not timed."""
    if settings.device == 'cpu':
        # What the torch runtime does for the form that it runs, and for nobody else.
        reuse_memory(backend == 'optimize')
    call()
    # Thread pools of other runtimes spin for a while after their last call.
    time.sleep(0.02)
    _synchronize(settings.device)
    begin = time.perf_counter()
    for _ in range(settings.repeats):
        call()
    _synchronize(settings.device)
    return 1000 * (time.perf_counter() - begin) / settings.repeats


def _synchronize(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)
