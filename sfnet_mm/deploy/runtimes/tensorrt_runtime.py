"""Runs an engine in TensorRT."""

import numpy as np
import torch

from sfnet_mm.utils.tooling import read_json, require

from .base import Runtime
from .files import check_file, check_meta


class TensorRTRuntime(Runtime):
    """A model that TensorRT runs from an engine, with its metadata in ``<engine>.json``.

    Args:
        path: Path of the engine.

    Raises:
        ImportError: TensorRT is not installed.
        FileNotFoundError: The engine or its metadata do not exist.
        ValueError: The installed TensorRT cannot read the engine, or its metadata are damaged.
    """

    name = 'tensorrt'

    def __init__(self, path: str) -> None:
        trt = require('tensorrt', 'see docs/deployment.md', 'TensorRT')
        check_file(path, '.engine')
        super().__init__(check_meta(read_json(f'{path}.json'), path))
        with open(path, 'rb') as f:
            engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(f.read())
        if engine is None:
            raise ValueError(f'{path} is not an engine of this TensorRT ({trt.__version__})')
        self.engine, self.context = engine, engine.create_execution_context()
        self.names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]

    def infer(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer`."""
        source, target = self.names
        tensor = torch.from_numpy(np.ascontiguousarray(data)).cuda()
        self.context.set_input_shape(source, tuple(tensor.shape))
        dtype = torch.int32 if self.meta['output'] == 'argmax' else torch.float32
        out = torch.empty(
            tuple(self.context.get_tensor_shape(target)), dtype=dtype, device=tensor.device
        )
        self.context.set_tensor_address(source, tensor.data_ptr())
        self.context.set_tensor_address(target, out.data_ptr())
        stream = torch.cuda.current_stream()
        self.context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return out.cpu().numpy()
