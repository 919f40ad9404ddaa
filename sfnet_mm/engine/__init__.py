"""Hooks, normalization among several CPU processes, and weights that Python packages carry."""

from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook
from .package_weights import load_from_package

__all__ = ['CPUSyncBN', 'FlowVisualizationHook', 'ISWHook', 'IterSeedHook', 'load_from_package']
