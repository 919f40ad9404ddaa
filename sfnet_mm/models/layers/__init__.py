from .context_modules import ASPPContext, DenseASPPContext, NonLocalContext
from .deformable_alignment import DeformableAlignmentModule
from .flow_alignment import FlowAlignmentModule, GatedDualFlowAlignmentModule
from .pyramid_context import PyramidContext

__all__ = [
    'ASPPContext',
    'DeformableAlignmentModule',
    'DenseASPPContext',
    'FlowAlignmentModule',
    'GatedDualFlowAlignmentModule',
    'NonLocalContext',
    'PyramidContext',
]
