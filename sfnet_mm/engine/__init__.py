from .hooks import FlowVisualizationHook, ISWHook

__all__ = ['FlowVisualizationHook', 'ISWHook']
