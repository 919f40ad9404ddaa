from .flow_visualization_hook import FlowVisualizationHook
from .isw_hook import ISWHook
from .iter_seed_hook import IterSeedHook

__all__ = ['FlowVisualizationHook', 'ISWHook', 'IterSeedHook']
