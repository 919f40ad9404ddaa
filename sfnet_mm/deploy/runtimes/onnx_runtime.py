"""Runs an ONNX file in ONNX Runtime."""

import re

import numpy as np

from sfnet_mm.utils.tooling import first_line, require

from .base import Runtime
from .files import check_file, check_meta, decode_entries


class OnnxRuntime(Runtime):
    """A model that ONNX Runtime runs from an ONNX file.

    Args:
        path: Path of the ONNX file.
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.
        threads: Number of CPU threads; 0 leaves the number to ONNX Runtime.

    Raises:
        ImportError: ONNX Runtime is not installed, or has no CUDA for ``device``.
        FileNotFoundError: There is no such file.
        ValueError: The device is another one, there are fewer than 0 threads, or the file is not
            an ONNX file with metadata of this package.
    """

    name = 'onnxruntime'

    def __init__(self, path: str, device: str = 'cpu', threads: int = 0) -> None:
        ort = require('onnxruntime', 'pip install onnxruntime')
        kind = re.fullmatch(r'(cpu|cuda)(?::(\d+))?', str(device))
        if kind is None:
            raise ValueError(f'device {device!r} is not one of cpu, cuda and cuda:N')
        if threads < 0:
            raise ValueError(f'threads={threads} must be 0 or more')
        check_file(path, '.onnx')
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        provider = f'{kind[1].upper()}ExecutionProvider'
        if provider not in ort.get_available_providers():
            raise ImportError(f'{provider} is not there: pip install onnxruntime-gpu')
        settings = {'device_id': kind[2] or '0'} if kind[1] == 'cuda' else {}
        try:
            self.session = ort.InferenceSession(path, options, providers=[(provider, settings)])
        except Exception as e:
            raise ValueError(f'{path} cannot be read as ONNX: {first_line(e)}') from None
        entries = decode_entries(self.session.get_modelmeta().custom_metadata_map)
        super().__init__(check_meta(entries, path))
        self.input = self.session.get_inputs()[0].name

    def infer_all(self, data: np.ndarray) -> list[np.ndarray]:
        """See :meth:`Runtime.infer_all`."""
        return self.session.run(None, {self.input: data})
