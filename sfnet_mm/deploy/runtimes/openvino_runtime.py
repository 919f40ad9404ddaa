"""Runs an ONNX file in OpenVINO."""

import functools
import threading
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import require

from ..export.onnx_graph import read_onnx
from .base import Runtime
from .files import check_file, check_meta, decode_entries
from .openvino_warp import warp_by_rows

PRECISIONS = ('f32', 'bf16', 'f16')


def compile_options(precision: str, threads: int) -> dict[str, Any]:
    """Return options of ``compile_model`` for single images; 0 threads let OpenVINO choose."""
    # On some CPUs the default precision is bfloat16. docs/deployment.md says what that changes.
    options: dict[str, Any] = {
        'INFERENCE_PRECISION_HINT': precision,
        'PERFORMANCE_HINT': 'LATENCY',
    }
    return {**options, 'INFERENCE_NUM_THREADS': threads} if threads else options


def openvino_core() -> Any:
    """Return the only ``openvino.Core`` of this process.

    Each core gives the thread a signal stack of its own and puts the former one back when it ends.
    Where an older core ends first, the thread is left with memory that is gone, and the next
    signal, a Ctrl-C for example, ends the process with a segmentation fault (OpenVINO 2026).

    Raises:
        ImportError: OpenVINO is not installed.
    """
    return _make_core(require('openvino', 'pip install openvino'))


@functools.cache
def _make_core(openvino: Any) -> Any:
    return openvino.Core()


class OpenVINORuntime(Runtime):
    """A model that OpenVINO runs from an ONNX file.

    Args:
        path: Path of the ONNX file.
        device: OpenVINO's name of the device, such as ``'CPU'``.
        threads: Number of CPU threads; 0 leaves the number to OpenVINO.
        precision: Precision of the arithmetic, one of ``PRECISIONS``. INT8 parts of a file stay
            INT8.

    Raises:
        ImportError: OpenVINO is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The precision is unknown, the device does not support it, or the file is
            not an ONNX file with metadata of this package.
    """

    name = 'openvino'

    def __init__(
        self, path: str, device: str = 'CPU', threads: int = 0, precision: str = 'f32'
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision {precision!r} is not one of {", ".join(PRECISIONS)}')
        # The compiled model has one request, which a second thread would find busy.
        self._lock = threading.Lock()
        core = openvino_core()
        check_file(path, '.onnx')
        props = read_onnx(path, load_external_data=False).metadata_props
        super().__init__(check_meta(decode_entries({p.key: p.value for p in props}), path))
        try:
            model = core.read_model(path)
            if device.upper() == 'CPU':
                warp_by_rows(model)
            self.model = core.compile_model(
                model, device.upper(), compile_options(precision, threads)
            )
        except RuntimeError as e:
            # Only the last line has the reason; the others name source files of OpenVINO.
            reason = str(e).strip().split('\n')[-1]
            raise ValueError(f'OpenVINO cannot run {path} on {device}: {reason}') from None
        if precision != 'f32':
            # OpenVINO does not refuse a precision that a device lacks, but takes another one.
            taken = self.model.get_property('INFERENCE_PRECISION_HINT').to_string()
            if taken != precision:
                raise ValueError(
                    f'{device} does not compute in {precision}: OpenVINO takes {taken} there, '
                    'choose that precision or f32'
                )

    def infer_all(self, data: np.ndarray) -> list[np.ndarray]:
        """See :meth:`Runtime.infer_all`."""
        with self._lock:
            return list(self.model(data).values())
