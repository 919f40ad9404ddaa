"""Panoptic segmentation: K-Net on MMDetection, with SFNet's aligned FPN as its neck.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855; SFNet paper, Table 15.
This is the only folder that imports mmdet. A config names it in
``custom_imports=dict(imports=['sfnet_mm.panoptic'])``.
"""

try:
    import mmdet.models  # noqa: F401
except ModuleNotFoundError as e:
    raise ImportError(
        f'sfnet_mm.panoptic needs mmdet ({e}): '
        'pip install -r requirements/panoptic.txt, or "sfnet_mm[panoptic]"'
    ) from e

from .cityscapes_panoptic import CityscapesPanopticDataset
from .cityscapes_panoptic_metric import CityscapesPanopticMetric
from .kernel_update_head import PanopticKernelUpdateHead
from .knet_fusion_head import KNetFusionHead
from .knet_panoptic_head import KNetPanopticHead
from .localization_fpn import LocalizationFPN
from .mask_cost import MaskCost
from .mini_cityscapes import MiniCityscapesPanopticDataset
from .panoptic_quality import allow_absent_classes
from .panoptic_visualizer import PanopticVisualizer

allow_absent_classes()

__all__ = [
    'CityscapesPanopticDataset',
    'CityscapesPanopticMetric',
    'KNetFusionHead',
    'KNetPanopticHead',
    'LocalizationFPN',
    'MaskCost',
    'MiniCityscapesPanopticDataset',
    'PanopticKernelUpdateHead',
    'PanopticVisualizer',
]
