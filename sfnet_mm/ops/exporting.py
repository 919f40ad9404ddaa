"""Tells whether a graph is being exported, and for which runtime."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

RUNTIMES = ('onnxruntime', 'openvino')
_runtime: str | None = None


@contextlib.contextmanager
def exporting_for(runtime: str) -> Iterator[None]:
    """Export graphs in the form that is fastest in a runtime; all forms compute the same.

    Raises:
        ValueError: The runtime has no form of its own.
    """
    global _runtime
    if runtime not in RUNTIMES:
        raise ValueError(f'runtime {runtime!r} is not one of {", ".join(RUNTIMES)}')
    before, _runtime = _runtime, runtime
    try:
        yield
    finally:
        _runtime = before


def is_exporting(runtime: str | None = None) -> bool:
    """Whether a graph is being exported, for this runtime if one is named."""
    if runtime is not None or _runtime is not None:
        return _runtime is not None and runtime in (None, _runtime)
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return True
    # This is the flag of torch.compiler.is_exporting(), which torch.compile treats as true up to
    # torch 2.11. Before 2.7 only tracing and exporting_for show that a graph is being exported.
    return getattr(torch.compiler, '_is_exporting_flag', False)


def linspace(start: float, end: float, steps: int, **options: Any) -> Tensor:
    """Compute ``torch.linspace``, also for numbers that an export leaves open.

    An exporter would write an open number of steps as a constant.
    """
    if all(isinstance(number, (int, float)) for number in (start, end, steps)):
        return torch.linspace(start, end, steps, **options)
    return torch.arange(steps, **options) * ((end - start) / (steps - 1)) + start
