"""Exports segmentors to files and compares the files with torch."""

from .export_model import ExportModel, make_reference
from .onnx import export_onnx
from .parity import Parity

__all__ = ['ExportModel', 'Parity', 'export_onnx', 'make_reference']
