"""Hooks, normalization among several CPU processes, and weights that Python packages carry."""

from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook, PredictionHook
from .package_weights import load_from_package

__all__ = [
    'CPUSyncBN',
    'FlowVisualizationHook',
    'ISWHook',
    'IterSeedHook',
    'PredictionHook',
    'load_from_package',
]
