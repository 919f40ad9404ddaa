"""Runs a model in several runtimes with the same call, ``predict(image) -> mask``.

Torch runs a config and a checkpoint, or a file of ``tools/deployment/export_pt2.py``. ONNX Runtime
and OpenVINO run a file of ``export_onnx.py`` or ``quantize.py``. TensorRT runs an engine of
``build_trt.py``. Each runtime is optional, and only loading one that is not installed is an error.
"""

from collections.abc import Callable
from typing import Any

from .base import Runtime
from .onnx_runtime import OnnxRuntime
from .openvino_runtime import OpenVINORuntime
from .pt2_runtime import Pt2Runtime
from .tensorrt_runtime import TensorRTRuntime
from .torch_runtime import TorchRuntime

__all__ = [
    'RUNTIMES',
    'OnnxRuntime',
    'OpenVINORuntime',
    'Pt2Runtime',
    'Runtime',
    'TensorRTRuntime',
    'TorchRuntime',
    'load_runtime',
]

RUNTIMES: dict[str, Callable[..., Runtime]] = {
    'torch': TorchRuntime,
    'onnxruntime': OnnxRuntime,
    'openvino': OpenVINORuntime,
    'tensorrt': TensorRTRuntime,
    'pt2': Pt2Runtime,
}


def load_runtime(name: str, *args: Any, **kwargs: Any) -> Runtime:
    """Make a runtime by its name and the arguments of its class.

    Example::

        load_runtime('torch', config, checkpoint, device='cuda')
        load_runtime('openvino', 'model.onnx', threads=2)

    Args:
        name: One of ``RUNTIMES``: 'torch', 'onnxruntime', 'openvino', 'tensorrt' or 'pt2'.
        *args: Arguments of the class, such as the path of a file.
        **kwargs: Arguments of the class.

    Raises:
        ValueError: The name is unknown.
        ImportError: The runtime is not installed. The message says how to install it.
    """
    if name not in RUNTIMES:
        raise ValueError(f'runtime {name!r} is not one of {", ".join(RUNTIMES)}')
    return RUNTIMES[name](*args, **kwargs)
