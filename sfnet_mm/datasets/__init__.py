"""Driving data sets, registered in ``mmseg.registry.DATASETS``."""

from .camvid import CamVidDataset
from .idd import IDDDataset
from .mapillary_driving import MapillaryDrivingDataset
from .mini_uds import ensure_mini_uds
from .transforms import (
    CropAroundCentroid,
    LoadImageWhole,
    LoadMappedAnnotations,
    RandomColorJitter,
    RandomGaussianBlur,
)
from .uds import MiniUDSDataset, UDSDataset
from .wrappers import ClassUniformDataset, ClassUniformSampler

__all__ = [
    'CamVidDataset',
    'ClassUniformDataset',
    'ClassUniformSampler',
    'CropAroundCentroid',
    'IDDDataset',
    'LoadImageWhole',
    'LoadMappedAnnotations',
    'MapillaryDrivingDataset',
    'MiniUDSDataset',
    'RandomColorJitter',
    'RandomGaussianBlur',
    'UDSDataset',
    'ensure_mini_uds',
]
