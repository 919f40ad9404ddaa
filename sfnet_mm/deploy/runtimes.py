"""One way to call a model, whatever runs it: ``predict(image) -> mask``.

Torch runs a config and a checkpoint; ONNX Runtime and OpenVINO run a file of
``tools/deployment/export_onnx.py``; TensorRT an engine of ``tools/deployment/build_trt.py``. Each
is optional: what is not installed is only missed by the one who asks for it.
"""

import json
import os.path as osp
from importlib import import_module
from typing import Any, Callable, Dict, List, Optional

import cv2
import numpy as np
import torch
from torch import Tensor

from .export import check_size, metadata, wrap
from .memory import reuse_memory
from .model import load_model
from .optimize import optimize, upsampled_argmax

INSTALL = {
    'onnxruntime': 'pip install onnxruntime',
    'openvino': 'pip install openvino',
    'onnx': 'pip install onnx',
    'tensorrt': 'TensorRT is not installed: see docs/deployment.md',
}


class Runtime:
    """A model that is ready to run.

    Args:
        meta: See :func:`sfnet_mm.deploy.export.metadata`.

    Attributes:
        classes: Names of the classes; None for a panoptic graph.
        palette: One RGB triple per class; None for a panoptic graph.
    """

    name = ''

    def __init__(self, meta: Dict[str, Any]) -> None:
        self.meta = meta
        self.classes, self.palette = meta.get('classes'), meta.get('palette')

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Class of every pixel.

        An image of another size than that of a fixed-size graph is resized, and the mask back.

        Args:
            image: (H, W, 3) uint8, BGR, as ``mmcv.imread`` gives it.

        Returns:
            (H, W) uint8.

        Raises:
            ValueError: Not such an image, or one that is too small.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f'image is {image.dtype} of shape {image.shape}: expected (H, W, 3) uint8, BGR'
            )
        if self.meta['output'] == 'panoptic':
            raise ValueError(
                'the graph ends in masks of a panoptic model, not in classes of pixels: '
                'use infer_all() and merge them with KNetFusionHead'
            )
        size = image.shape[:2]
        run_size = tuple(self.meta['size'] or size)
        check_size(run_size)
        if run_size != size:
            image = cv2.resize(image, run_size[::-1], interpolation=cv2.INTER_LINEAR)
        out = self.infer(self.prepare(image))
        if out.ndim == 4:
            out = upsampled_argmax(
                torch.from_numpy(out).float(), run_size, self.meta['align_corners']
            ).numpy()
        mask = out[0].astype(np.uint8)
        if mask.shape == size:
            return mask
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The input of the graph made of an image (H, W, 3) uint8, BGR."""
        if self.meta['input'] == 'raw':
            return image[None]
        if self.meta['bgr_to_rgb']:
            image = image[..., ::-1]
        mean, std = np.float32(self.meta['mean']), np.float32(self.meta['std'])
        return np.ascontiguousarray(((image - mean) / std).transpose(2, 0, 1)[None])

    def infer(self, data: np.ndarray) -> np.ndarray:
        """Run the graph on its input; its first output."""
        return self.infer_all(data)[0]

    def infer_all(self, data: np.ndarray) -> List[np.ndarray]:
        """Run the graph on its input; all outputs."""
        raise NotImplementedError


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
        super().__init__(metadata(model, wrap(model), None))
        self.model: Callable[[Tensor], Tensor] = optimize(model, output='argmax', verbose=False)
        self.device = torch.device(device)
        if self.device.type == 'cpu':
            reuse_memory()
        if compiled:
            mode = 'reduce-overhead' if self.device.type == 'cuda' else 'default'
            self.model = torch.compile(self.model, mode=mode, dynamic=False)

    @torch.inference_mode()
    def infer(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer`."""
        return self.model(torch.from_numpy(data).to(self.device)).cpu().numpy()


class OnnxRuntime(Runtime):
    """ONNX Runtime.

    Args:
        path: Of the ONNX file.
        device: ``'cpu'`` or ``'cuda'``.
        threads: 0 leaves the number to ONNX Runtime.
    """

    name = 'onnxruntime'

    def __init__(self, path: str, device: str = 'cpu', threads: int = 0) -> None:
        ort = _import('onnxruntime')
        _check_file(path, '.onnx')
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        provider = 'CUDAExecutionProvider' if device.startswith('cuda') else 'CPUExecutionProvider'
        if provider not in ort.get_available_providers():
            raise ImportError(f'{provider} is not there: pip install onnxruntime-gpu')
        try:
            self.session = ort.InferenceSession(path, options, providers=[provider])
        except Exception as e:
            raise ValueError(f'{path} cannot be read as ONNX: {_first_line(e)}') from None
        super().__init__(_read_meta(self.session.get_modelmeta().custom_metadata_map, path))
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
        openvino, onnx = _import('openvino'), _import('onnx')
        _check_file(path, '.onnx')
        try:
            props = onnx.load(path, load_external_data=False).metadata_props
        except Exception as e:
            raise ValueError(f'{path} cannot be read as ONNX: {_first_line(e)}') from None
        super().__init__(_read_meta({p.key: p.value for p in props}, path))
        # The default on some CPUs is bfloat16, which changes classes along borders.
        config: Dict[str, Any] = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'}
        if threads:
            config['INFERENCE_NUM_THREADS'] = threads
        self.model = openvino.Core().compile_model(path, device.upper(), config)

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
        trt = _import('tensorrt')
        _check_file(path, '.engine')
        with open(f'{path}.json', encoding='utf-8') as f:
            super().__init__(json.load(f))
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


def _read_meta(props: Dict[str, str], path: str) -> Dict[str, Any]:
    if 'sfnet_mm' not in props:
        raise ValueError(f'{path} has no metadata of sfnet_mm: make it with export_onnx.py')
    return {key: json.loads(value) for key, value in props.items()}


def _check_file(path: str, suffix: str) -> None:
    if not path.endswith(suffix):
        raise ValueError(f'{path} must be a file ending in {suffix}')
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist')


def _first_line(error: Exception) -> str:
    return str(error).strip().split('\n')[0]


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        hint = INSTALL[name]
        raise ImportError(hint if 'not' in hint else f'{name} is not installed: {hint}') from None
