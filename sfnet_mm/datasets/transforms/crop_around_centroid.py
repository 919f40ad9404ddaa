"""The crop of class-uniform sampling.

Improving Semantic Segmentation via Video Propagation and Label Relaxation,
https://arxiv.org/abs/1812.01593, section 3.3 (authors' ``RandomCrop`` with ``centroid``).
"""

from collections.abc import Callable, Iterable

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS

from sfnet_mm.utils.arguments import check_range

from ..pipelines import exif_remark, iterate_transforms

# These transforms and base classes of mmcv, mmseg, mmdet and albumentations move pixels in the
# image. Resizing is not among them, because the crop accounts for it.
MOVING = {
    'BioMedical3DRandomCrop',
    'BioMedical3DRandomFlip',
    'CenterCrop',
    'CopyPaste',
    'DualTransform',
    'Expand',
    'GeomTransform',
    'MinIoURandomCrop',
    'MixUp',
    'Mosaic',
    'CachedMixUp',
    'CachedMosaic',
    'Pad',
    'RandomAffine',
    'RandomCenterCropPad',
    'RandomCrop',
    'RandomFlip',
    'RandomMosaic',
    'RandomRotFlip',
    'RandomRotate',
    'RandomShift',
    'ResetOriginalShape',
}


def check_before_crop(transforms: Iterable[Callable]) -> None:
    """Check what a pipeline does before its :class:`CropAroundCentroid`.

    Raises:
        ValueError: A transform before it moves pixels, maybe inside ``RandomApply`` or the like, so
            that the centroid would be at another place.
    """
    for transform in iterate_transforms(transforms):
        if isinstance(transform, CropAroundCentroid):
            return
        if MOVING & {base.__name__ for base in type(transform).__mro__}:
            raise ValueError(
                f'CropAroundCentroid: {type(transform).__name__} moves pixels, but centroids '
                'belong to the image as loaded: put it after the crop'
            )


@TRANSFORMS.register_module()
class CropAroundCentroid(RandomCrop):
    """Crops around ``centroid`` if the data info has one, else like ``RandomCrop``.

    The window lies inside the image and contains the centroid. A side of the image that is shorter
    than the window is not cropped (the data preprocessor pads the batch).

    Required Keys:

    - img, gt_seg_map, ori_shape
    - centroid (optional): (x, y) in pixels of the image as loaded; resizing is accounted for

    Modified Keys: img, img_shape, gt_seg_map

    Args:
        crop_size: Side, or height and width, of the window in pixels.
        jitter: How far the window may be off the centroid, as a share of the largest distance that
            keeps the centroid inside: 1, as in the authors' code, puts the centroid anywhere in
            the window, 0 puts it in the middle.
        cat_max_ratio: See mmseg's ``RandomCrop``, for crops without a centroid.
        ignore_index: See mmseg's ``RandomCrop``.

    Raises:
        ValueError: ``jitter`` is outside 0..1. In ``transform``, the centroid is outside the image,
            or the image was flipped, or cropped or padded to another size, before.
    """

    def __init__(
        self,
        crop_size: 'int | tuple[int, int]',
        jitter: float = 1.0,
        cat_max_ratio: float = 1.0,
        ignore_index: int = 255,
    ) -> None:
        if isinstance(crop_size, list):
            crop_size = tuple(crop_size)
        super().__init__(crop_size, cat_max_ratio, ignore_index)
        check_range('CropAroundCentroid', 0, 1, jitter=jitter)
        self.jitter = jitter

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Choose the first row of the window, the row after its last, and the same columns."""
        if results.get('centroid') is None:
            return super().crop_bbox(results)
        if results.get('flip'):
            raise ValueError(
                'CropAroundCentroid: the image is flipped already: put RandomFlip after the crop'
            )
        size, loaded = results['img'].shape[:2], tuple(results['ori_shape'][:2])
        # Two pixels more or less come from the rounding of a resize.
        stretch = abs(size[0] * loaded[1] / loaded[0] - size[1])
        if 'scale_factor' not in results and stretch > 2:
            raise ValueError(
                f'CropAroundCentroid: the image had {loaded[0]}x{loaded[1]} pixels (height x '
                f'width) when it was loaded, and has {size[0]}x{size[1]} without a resize: put '
                'what crops or pads it after this crop'
            )
        centroid = results['centroid'][::-1]
        if not all(0 <= c < s for c, s in zip(centroid, loaded)):
            raise ValueError(
                f'CropAroundCentroid: centroid {results["centroid"]} is outside of '
                f'the image of {loaded[1]}x{loaded[0]} pixels: do image and mask of '
                f'{results.get("img_path")} differ in size?{exif_remark(results.get("img_path"))}'
            )
        top, left = (
            self._start(int((c + 0.5) * s / old), s, crop)
            for c, s, old, crop in zip(centroid, size, loaded, self.crop_size)
        )
        return top, top + self.crop_size[0], left, left + self.crop_size[1]

    def _start(self, center: int, size: int, crop: int) -> int:
        """Draw the first pixel of a window of ``crop`` pixels that contains ``center``."""
        reach = int(self.jitter * (crop - 1) / 2)
        start = center - crop // 2 + np.random.randint(-reach, reach + 1)
        return int(np.clip(start, 0, max(size - crop, 0)))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, jitter={self.jitter}, '
            f'cat_max_ratio={self.cat_max_ratio})'
        )
