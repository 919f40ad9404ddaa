from .build import build_alignment
from .carafe_alignment import CARAFEAlignment
from .context_modules import ASPPContext, DenseASPPContext, NonLocalContext
from .deformable_alignment import DeformableAlignmentModule
from .deformable_concat import DeformableConcatAlignment
from .dysample_alignment import DySampleAlignment
from .flow_alignment import FlowAlignmentModule
from .freqfusion_alignment import FreqFusionAlignment
from .gated_dual_flow_alignment import GatedDualFlowAlignmentModule
from .level_fusion import LevelFusion
from .pyramid_context import PyramidContext
from .sapa_alignment import SAPAAlignment
from .separate_gates import SeparateGatesAlignmentModule

__all__ = [
    'ASPPContext',
    'CARAFEAlignment',
    'DeformableAlignmentModule',
    'DeformableConcatAlignment',
    'DenseASPPContext',
    'DySampleAlignment',
    'FlowAlignmentModule',
    'FreqFusionAlignment',
    'GatedDualFlowAlignmentModule',
    'LevelFusion',
    'NonLocalContext',
    'PyramidContext',
    'SAPAAlignment',
    'SeparateGatesAlignmentModule',
    'build_alignment',
]
