"""Whether a graph is being written for another runtime, and for which."""

import contextlib
from typing import Iterator, Optional

import torch

RUNTIMES = ('onnxruntime', 'openvino')
_runtime: Optional[str] = None


@contextlib.contextmanager
def exporting_for(runtime: str) -> Iterator[None]:
    """Write graphs in the form that is fastest in a runtime; they compute the same.

    Raises:
        ValueError: A runtime without a form of its own.
    """
    global _runtime
    if runtime not in RUNTIMES:
        raise ValueError(f'runtime {runtime!r} is not one of {", ".join(RUNTIMES)}')
    before, _runtime = _runtime, runtime
    try:
        yield
    finally:
        _runtime = before


def is_exporting(runtime: Optional[str] = None) -> bool:
    """Whether a graph is being written, for this runtime if one is named."""
    if runtime is not None or _runtime is not None:
        return _runtime is not None and runtime in (None, _runtime)
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return True
    # The flag behind torch.compiler.is_exporting(), which torch.compile takes for true up to torch
    # 2.11. Before 2.7 an export is told apart by tracing or by exporting_for alone.
    return getattr(torch.compiler, '_is_exporting_flag', False)
