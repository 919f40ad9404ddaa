"""Times ONNX files of other projects in the same rounds as the models of this one."""

import math
import os.path as osp
from collections.abc import Callable
from typing import Any

import numpy as np

from sfnet_mm.deploy.export.onnx_graph import read_onnx
from sfnet_mm.deploy.runtimes.openvino_runtime import compile_options, openvino_core
from sfnet_mm.utils.tooling import require

BACKENDS = ('onnxruntime', 'openvino')


class ForeignGraph:
    """An ONNX file of any project whose only input is an image.

    Args:
        path: Path of the file.
        size: (height, width) of the image if the file leaves them open.

    Attributes:
        parameters: Number of parameters in the file.
        shape: Shape of the input, with a batch size of one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an ONNX file, or its input is not an image.
    """

    def __init__(self, path: str, size: tuple[int, int]) -> None:
        onnx = require('onnx', 'pip install onnx')
        if not osp.isfile(path):
            raise FileNotFoundError(f'{path} does not exist')
        graph = read_onnx(path, load_external_data=False).graph
        self.path = path
        self.parameters = sum(math.prod(tensor.dims) for tensor in graph.initializer)
        held = {tensor.name for tensor in graph.initializer}
        inputs = [i for i in graph.input if i.name not in held]
        dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim] if inputs else []
        if len(inputs) != 1 or len(dims) != 4:
            raise ValueError(
                f'{path} has {len(inputs)} inputs, the first of shape {dims}: no image'
            )
        self.name = inputs[0].name
        kind = inputs[0].type.tensor_type.elem_type
        self.dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
        last = dims[3] in (1, 3, 4) and dims[1] not in (1, 3, 4)
        wanted = (1, *size, dims[3]) if last else (1, dims[1] or 3, *size)
        self.shape = tuple(d or w for d, w in zip(dims, wanted))

    def call(self, backend: str, threads: int) -> Callable[[], list[np.ndarray]]:
        """Make a function that runs one forward pass of a random image.

        Args:
            backend: One of ``BACKENDS``.
            threads: Number of CPU threads; 0 leaves the number to the runtime.
        """
        rng = np.random.default_rng(0)
        if np.issubdtype(self.dtype, np.integer):
            data = rng.integers(0, 256, self.shape).astype(self.dtype)
        else:
            data = rng.standard_normal(self.shape).astype(self.dtype)
        return {'onnxruntime': self._in_onnxruntime, 'openvino': self._in_openvino}[backend](
            data, threads
        )

    def _in_onnxruntime(self, data: np.ndarray, threads: int) -> Callable[[], Any]:
        ort = require('onnxruntime', 'pip install onnxruntime')
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(self.path, options, providers=['CPUExecutionProvider'])
        return lambda: session.run(None, {self.name: data})

    def _in_openvino(self, data: np.ndarray, threads: int) -> Callable[[], Any]:
        core = openvino_core()
        model = core.read_model(self.path)
        model.reshape(list(self.shape))
        compiled = core.compile_model(model, 'CPU', compile_options('f32', threads))
        return lambda: list(compiled(data).values())

    def note(self, outputs: list[np.ndarray]) -> str:
        """Describe the input and the outputs, which need not be classes at the image's size."""
        made = ', '.join(f'{"x".join(map(str, out.shape))} {out.dtype}' for out in outputs)
        return f'{osp.basename(self.path)}, {"x".join(map(str, self.shape))} to {made}'


def parse_onnx_files(options: list[str]) -> dict[str, str]:
    """Parse texts ``NAME=FILE`` into a dict from names to paths.

    Raises:
        ValueError: A text has another form, or two files have the same name.
    """
    files: dict[str, str] = {}
    for option in options:
        name, equals, path = option.partition('=')
        if not (name and equals and path):
            raise ValueError(f'--onnx {option} is not NAME=FILE')
        if name in files:
            raise ValueError(f'--onnx names two files {name}')
        files[name] = path
    return files
