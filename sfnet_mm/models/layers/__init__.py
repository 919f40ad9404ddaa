from .flow_alignment import FlowAlignmentModule, GatedDualFlowAlignmentModule
from .pyramid_context import PyramidContext

__all__ = ['FlowAlignmentModule', 'GatedDualFlowAlignmentModule', 'PyramidContext']
