"""Hooks and what a run on the CPU needs, registered in the root registries of mmengine and mmseg."""

from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook

__all__ = ['CPUSyncBN', 'FlowVisualizationHook', 'ISWHook', 'IterSeedHook']
