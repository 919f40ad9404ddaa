"""Hooks, parts for training on a CPU, augmented tests, and weights in Python packages."""

from .cpu_amp_optim_wrapper import CPUAmpOptimWrapper
from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook, PredictionHook
from .package_weights import load_from_package
from .tta import OneLogitTTAModel

__all__ = [
    'CPUAmpOptimWrapper',
    'CPUSyncBN',
    'FlowVisualizationHook',
    'ISWHook',
    'IterSeedHook',
    'OneLogitTTAModel',
    'PredictionHook',
    'load_from_package',
]
