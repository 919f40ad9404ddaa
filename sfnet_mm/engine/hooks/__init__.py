from .flow_visualization_hook import FlowVisualizationHook
from .isw_hook import ISWHook
from .iter_seed_hook import IterSeedHook
from .prediction_hook import PredictionHook

__all__ = ['FlowVisualizationHook', 'ISWHook', 'IterSeedHook', 'PredictionHook']
