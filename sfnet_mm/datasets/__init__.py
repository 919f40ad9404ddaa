"""Driving data sets, registered in ``mmseg.registry.DATASETS``."""

from sfnet_mm.mini_uds import ensure_mini_uds

from .camvid import CamVidDataset
from .cityscapes_coarse import CityscapesCoarseDataset
from .idd import IDDDataset
from .mapillary_driving import MapillaryDrivingDataset
from .mapillary_vistas import MapillaryVistasDataset
from .transforms import (
    CropAroundCentroid,
    LoadImageWhole,
    LoadMappedAnnotations,
    RandomColorJitter,
    RandomGaussianBlur,
    RandomRescale,
    ResetOriginalShape,
)
from .uds import MiniUDSDataset, UDSDataset
from .wrappers import ClassUniformDataset, ClassUniformSampler

__all__ = [
    'CamVidDataset',
    'CityscapesCoarseDataset',
    'ClassUniformDataset',
    'ClassUniformSampler',
    'CropAroundCentroid',
    'IDDDataset',
    'LoadImageWhole',
    'LoadMappedAnnotations',
    'MapillaryDrivingDataset',
    'MapillaryVistasDataset',
    'MiniUDSDataset',
    'RandomColorJitter',
    'RandomGaussianBlur',
    'RandomRescale',
    'ResetOriginalShape',
    'UDSDataset',
    'ensure_mini_uds',
]
