"""Transforms, registered in ``mmseg.registry.TRANSFORMS``."""

from .crop_around_centroid import CropAroundCentroid
from .loading import LoadImageWhole, LoadMappedAnnotations
from .photometric import RandomColorJitter, RandomGaussianBlur
from .random_rescale import RandomRescale
from .reset_original_shape import ResetOriginalShape
from .shrink_to_fit import ShrinkToFit

__all__ = [
    'CropAroundCentroid',
    'LoadImageWhole',
    'LoadMappedAnnotations',
    'RandomColorJitter',
    'RandomGaussianBlur',
    'RandomRescale',
    'ResetOriginalShape',
    'ShrinkToFit',
]
