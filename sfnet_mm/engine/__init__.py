"""Hooks, parts for training on a CPU, and weights that come in Python packages."""

from .cpu_amp_optim_wrapper import CPUAmpOptimWrapper
from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook, PredictionHook
from .package_weights import load_from_package

__all__ = [
    'CPUAmpOptimWrapper',
    'CPUSyncBN',
    'FlowVisualizationHook',
    'ISWHook',
    'IterSeedHook',
    'PredictionHook',
    'load_from_package',
]
