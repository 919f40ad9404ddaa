"""Makes trained segmentors faster, exports them and runs them in several runtimes."""

from .export import export_onnx
from .inference import InferenceModel, optimize, reuse_memory
from .model import load_model
from .runtimes import RUNTIMES, Runtime, load_runtime

__all__ = [
    'RUNTIMES',
    'InferenceModel',
    'Runtime',
    'export_onnx',
    'load_model',
    'load_runtime',
    'optimize',
    'reuse_memory',
]
