"""Times many models side by side in one process, on one device, in interleaved rounds."""

import gc
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.utils import ProgressBar
from torch import nn

from sfnet_mm.deploy.export.checks import check_size
from sfnet_mm.deploy.inference.memory import reuse_memory, warm_up_memory
from sfnet_mm.deploy.model import input_channels, load_model
from sfnet_mm.ops import has_ext
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.timer import Timer
from sfnet_mm.utils.tooling import first_line

from .backends import Settings, check_backend, make_call
from .complexity import complexity, parameters, without_training_layers
from .files import FileCall
from .foreign import BACKENDS as GRAPH_BACKENDS
from .foreign import ForeignGraph
from .memory import peak_memory


@dataclass
class Entry:
    """The results of one model on one backend.

    Attributes:
        name: Name of the model.
        backend: Name of the backend; see ``BACKENDS``.
        parameters: Number of parameters that inference uses, before folding.
        macs: Number of multiply-adds of convolutions and matrix products at the image size of the
            benchmark; 0 if they cannot be counted.
        milliseconds: Time of a forward pass, one value per round.
        memory: Peak bytes above those in use before the call of the model; None if unknown.
        failure: Reason why there are no times; empty if there are.
        note: Remark under the table; empty if there is none.
        accuracy: mIoU of the weights on the val set of the config; None if it is not known.
        boundary_iou: Boundary IoU on the same set; None if it is not known.
        megabytes: Size of the exported file; None without a file.
    """

    name: str
    backend: str
    parameters: int = 0
    macs: int = 0
    milliseconds: list[float] = field(default_factory=list)
    memory: int | None = None
    failure: str = ''
    note: str = ''
    accuracy: float | None = None
    boundary_iou: float | None = None
    megabytes: float | None = None

    @property
    def median(self) -> float:
        """The median time of a forward pass in milliseconds."""
        return statistics.median(self.milliseconds)

    @property
    def fps(self) -> float:
        """The number of images per second at the median time."""
        return 1000 / self.median

    def to_dict(self) -> dict[str, Any]:
        """Convert the entry, with its median, to a dict for JSON."""
        found = asdict(self)
        if self.milliseconds:
            found.update(median=round(self.median, 3), fps=round(self.fps, 3))
        found['milliseconds'] = [round(m, 3) for m in self.milliseconds]
        return found


def run_benchmark(
    models: dict[str, Config],
    backends: list[str],
    settings: Settings,
    on_round: Callable[[list[Entry]], None] | None = None,
    files: dict[str, str] | None = None,
) -> list[Entry]:
    """Time every model on every backend.

    All entries are made and warmed up first. Each round then times each entry once, so that changes
    of the machine (heat, other work) affect all alike. Weights are random, or those of
    ``settings.checkpoint``; then exported files are scored as well. A model that a backend cannot
    run gives an entry with a ``failure``.

    Args:
        models: Dict from the name of a model to its config.
        backends: Some of ``BACKENDS``.
        settings: Settings of the benchmark.
        on_round: Called with the entries after every round and every score.
        files: Dict from a name to the path of an ONNX file of any project, for the backends that
            read such files.

    Returns:
        list[Entry]: The entries, ordered by model.

    Raises:
        FileNotFoundError: One of ``files`` does not exist.
        ValueError: A backend is unknown, the size is too small, the device does not exist, or the
            input of one of ``files`` is not an image.
        RuntimeError: The backend ``ext`` was chosen, but the warp is not compiled.
    """
    check_size(settings.size)
    for backend in backends:
        check_backend(backend, settings)
    if any(b.startswith('ext') for b in backends) and not has_ext():
        raise RuntimeError("backend 'ext' needs the compiled warp: make install-ops")
    graphs = {name: ForeignGraph(path, settings.size) for name, path in (files or {}).items()}
    readers = [b for b in backends if b in GRAPH_BACKENDS]
    if graphs and not readers:
        raise ValueError(f'ONNX files need a backend that reads them: {", ".join(GRAPH_BACKENDS)}')
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True
    entries, calls = [], []
    progress = ProgressBar(len(models) * len(backends) + len(graphs) * len(readers))

    def add(entry: Entry, make: Callable[[Entry], Callable[[], Any]]) -> None:
        entries.append(entry)
        try:
            calls.append((entry, _warm_up(entry, make(entry), settings)))
        except Exception as e:
            entry.failure = first_line(e)[:200]
        progress.update()

    for name, cfg in models.items():
        torch.manual_seed(0)
        if is_panoptic(cfg):
            from sfnet_mm.panoptic.export import load_panoptic

            model = load_panoptic(cfg, None, settings.device)
        else:
            model = load_model(cfg, settings.checkpoint, settings.device)
        counts = _count(name, model, settings)
        for backend in backends:
            add(Entry(name, backend, *counts), partial(_make_model_call, model, settings))
    for name, graph in graphs.items():
        for backend in readers:
            add(Entry(name, backend, graph.parameters), partial(_make_graph_call, graph, settings))
    print()
    # Models on one backend are timed one after another, because these times are compared and the
    # speed of a shared machine changes within a round. Every second round runs in reverse order.
    calls.sort(key=lambda made: backends.index(made[0].backend))
    progress = ProgressBar(settings.rounds * len(calls))
    for turn in range(settings.rounds):
        for entry, call in calls if turn % 2 == 0 else reversed(calls):
            entry.milliseconds.append(time_pass(call, entry.backend, settings))
            progress.update()
        if on_round:
            on_round(entries)
    print()
    for entry, call in calls:
        if settings.checkpoint and isinstance(call, FileCall):
            scores = call.scores()
            entry.accuracy = round(scores['IoU'], 2)
            entry.boundary_iou = round(scores['bIoU'], 2) if 'bIoU' in scores else None
            entry.megabytes = round(call.megabytes, 1)
            if on_round:
                on_round(entries)
    return entries


def _count(name: str, model: nn.Module, settings: Settings) -> tuple[int, int]:
    """Count parameters and multiply-adds; the second number is 0 if counting fails."""
    try:
        return complexity(model, settings.size)
    except Exception as e:  # A model of another package may fail on fake tensors in any way.
        line = f'{name}: multiply-adds cannot be counted: {first_line(e)[:200]}'
        warnings.warn(line, stacklevel=2)
        return parameters(without_training_layers(model)), 0


def _make_model_call(model: nn.Module, settings: Settings, entry: Entry) -> Callable[[], Any]:
    shape = (1, input_channels(model), *settings.size)
    sample = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return make_call(entry.name, entry.backend, model, sample, settings)


def _make_graph_call(graph: ForeignGraph, settings: Settings, entry: Entry) -> Callable[[], Any]:
    call = graph.call(entry.backend, settings.threads)
    entry.note = graph.note(call())
    return call


def _warm_up(entry: Entry, call: Callable[[], Any], settings: Settings) -> Callable[[], Any]:
    """Warm up a call, record its peak memory in the entry, and return the call."""
    gc.collect()
    call()
    reuse_memory(False)
    entry.memory = peak_memory(call, settings.device)
    for _ in range(settings.warmup):
        call()
    return call


def time_pass(call: Callable[[], Any], backend: str, settings: Settings) -> float:
    """Return the milliseconds of one forward pass, after some passes that are not timed."""
    # Torch keeps its memory for every model except the authors' code, which leaves torch as it
    # is. The other runtimes have their own allocators.
    keeps = settings.device == 'cpu' and backend in ('native', 'ext', 'compile', 'optimize')
    if settings.device == 'cpu':
        reuse_memory(keeps)
    warm_up_memory(call, most=6 if keeps else 1)
    # The thread pools of other runtimes keep spinning for a while after their last call.
    time.sleep(0.02)
    with Timer(settings.device) as timer:
        for _ in range(settings.repeats):
            call()
    return timer.milliseconds / settings.repeats
