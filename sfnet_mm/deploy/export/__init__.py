"""A segmentor as a file, and the comparison of the file with torch."""

from .export_model import ExportModel, reference
from .onnx import export_onnx
from .parity import Parity

__all__ = ['ExportModel', 'Parity', 'export_onnx', 'reference']
