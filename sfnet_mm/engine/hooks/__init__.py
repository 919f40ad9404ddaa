from .flow_visualization_hook import FlowVisualizationHook
from .isw_hook import ISWHook

__all__ = ['FlowVisualizationHook', 'ISWHook']
