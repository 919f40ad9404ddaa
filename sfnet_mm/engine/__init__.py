"""Hooks, and the normalization of runs on several CPU processes."""

from .cpu_sync_bn import CPUSyncBN
from .hooks import FlowVisualizationHook, ISWHook, IterSeedHook

__all__ = ['CPUSyncBN', 'FlowVisualizationHook', 'ISWHook', 'IterSeedHook']
