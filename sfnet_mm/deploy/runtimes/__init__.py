"""One way to call a model, whatever runs it: ``predict(image) -> mask``.

Torch runs a config and a checkpoint; ONNX Runtime and OpenVINO run a file of
``tools/deployment/export_onnx.py``; TensorRT an engine of ``tools/deployment/build_trt.py``. Each
is optional: what is not installed is only missed by the one who asks for it.
"""

import copy
import json
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from sfnet_mm.utils.tooling import first_line, require

from .export import metadata
from .image_pipeline import check_portable
from .memory import reuse_memory
from .model import load_model
from .openvino_warp import warp_by_rows
from .optimize import optimize
from .runtime_base import Runtime, check_file, read_meta


class TorchRuntime(Runtime):
    """Torch on the inference form of :func:`sfnet_mm.deploy.optimize`.

    On the CPU the process keeps its memory from then on
    (:func:`sfnet_mm.deploy.memory.reuse_memory`).

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        compiled: Run it through ``torch.compile``, on CUDA with CUDA graphs.
    """

    name = 'torch'

    def __init__(
        self, config: str, checkpoint: Optional[str], device: str = 'cpu', compiled: bool = False
    ) -> None:
        model = load_model(config, checkpoint, device)
        form = optimize(model, output='argmax', verbose=False)
        super().__init__(metadata(model, form))
        # The same layers, before the classes are chosen.
        logits_form = copy.copy(form)
        logits_form.output = 'logits'
        self.model: Callable[[Tensor], Tensor] = form
        self.logits_model: Callable[[Tensor], Tensor] = logits_form
        self.device = torch.device(device)
        if self.device.type == 'cpu':
            reuse_memory()
        if compiled:
            mode = 'reduce-overhead' if self.device.type == 'cuda' else 'default'
            self.model = torch.compile(self.model, mode=mode, dynamic=False)
            self.logits_model = torch.compile(self.logits_model, mode=mode, dynamic=False)

    @torch.inference_mode()
    def infer(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer`."""
        return self.model(torch.from_numpy(data).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def infer_logits(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer_logits`."""
        return self.logits_model(torch.from_numpy(data).to(self.device)).cpu().numpy()


class OnnxRuntime(Runtime):
    """ONNX Runtime.

    Args:
        path: Of the ONNX file.
        device: ``'cpu'`` or ``'cuda'``.
        threads: 0 leaves the number to ONNX Runtime.
    """

    name = 'onnxruntime'

    def __init__(self, path: str, device: str = 'cpu', threads: int = 0) -> None:
        ort = require('onnxruntime', 'pip install onnxruntime')
        check_file(path, '.onnx')
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        provider = 'CUDAExecutionProvider' if device.startswith('cuda') else 'CPUExecutionProvider'
        if provider not in ort.get_available_providers():
            raise ImportError(f'{provider} is not there: pip install onnxruntime-gpu')
        try:
            self.session = ort.InferenceSession(path, options, providers=[provider])
        except Exception as e:
            raise ValueError(f'{path} cannot be read as ONNX: {first_line(e)}') from None
        super().__init__(read_meta(self.session.get_modelmeta().custom_metadata_map, path))
        self.input = self.session.get_inputs()[0].name

    def infer_all(self, data: np.ndarray) -> List[np.ndarray]:
        """See :meth:`Runtime.infer_all`."""
        return self.session.run(None, {self.input: data})


class OpenVINORuntime(Runtime):
    """OpenVINO on an ONNX file.

    Args:
        path: Of the ONNX file.
        device: OpenVINO's name of the device, such as ``'CPU'``.
        threads: 0 leaves the number to OpenVINO.
    """

    name = 'openvino'

    def __init__(self, path: str, device: str = 'CPU', threads: int = 0) -> None:
        openvino = require('openvino', 'pip install openvino')
        onnx = require('onnx', 'pip install onnx')
        check_file(path, '.onnx')
        try:
            props = onnx.load(path, load_external_data=False).metadata_props
        except Exception as e:
            raise ValueError(f'{path} cannot be read as ONNX: {first_line(e)}') from None
        super().__init__(read_meta({p.key: p.value for p in props}, path))
        # The default on some CPUs is bfloat16, which changes classes along borders.
        config: Dict[str, Any] = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'}
        if threads:
            config['INFERENCE_NUM_THREADS'] = threads
        core = openvino.Core()
        try:
            model = core.read_model(path)
            if device.upper() == 'CPU':
                warp_by_rows(model)
            self.model = core.compile_model(model, device.upper(), config)
        except RuntimeError as e:
            # The lines before the last name OpenVINO's source files.
            reason = str(e).strip().split('\n')[-1]
            raise ValueError(f'OpenVINO cannot run {path} on {device}: {reason}') from None

    def infer_all(self, data: np.ndarray) -> List[np.ndarray]:
        """See :meth:`Runtime.infer_all`."""
        return list(self.model(data).values())


class TensorRTRuntime(Runtime):
    """TensorRT on an engine; its metadata is in ``<engine>.json`` beside it.

    Args:
        path: Of the engine.
    """

    name = 'tensorrt'

    def __init__(self, path: str) -> None:
        trt = require('tensorrt', 'see docs/deployment.md', 'TensorRT')
        check_file(path, '.engine')
        with open(f'{path}.json', encoding='utf-8') as f:
            meta = json.load(f)
        check_portable(meta.get('pipeline') or (), path)
        super().__init__(meta)
        with open(path, 'rb') as f:
            engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(f.read())
        if engine is None:
            raise ValueError(f'{path} is no engine of this TensorRT ({trt.__version__})')
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


RUNTIMES: Dict[str, Callable[..., Runtime]] = {
    'torch': TorchRuntime,
    'onnxruntime': OnnxRuntime,
    'openvino': OpenVINORuntime,
    'tensorrt': TensorRTRuntime,
}


def load_runtime(name: str, *args: Any, **kwargs: Any) -> Runtime:
    """Make a runtime by its name; the other arguments are those of its class.

    Raises:
        ValueError: An unknown name.
        ImportError: The runtime is not installed; says how to install it.
    """
    if name not in RUNTIMES:
        raise ValueError(f'runtime {name!r} is not one of {", ".join(RUNTIMES)}')
    return RUNTIMES[name](*args, **kwargs)
