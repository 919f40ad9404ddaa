"""Augments the scale relative to the image.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 4.1 (authors' ``RandomSizeAndCrop``).
"""

import numpy as np
from mmcv.transforms import Resize
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRescale(Resize):
    """Resizes an image to a random multiple of its own size.

    mmcv's ``RandomResize`` takes multiples of one size for all images. In UDS that would enlarge
    the 1280x720 images of BDD100K and shrink the large ones of Mapillary Vistas, although both are
    tested at their own size.

    Required Keys: those of mmcv's ``Resize``

    Modified Keys: those of mmcv's ``Resize``

    Args:
        ratio_range: Smallest and largest factor; (1, 1) leaves images as they are.
        **kwargs: Arguments of mmcv's ``Resize`` (``interpolation``, ``backend``).

    Raises:
        ValueError: ``ratio_range`` is not two positive numbers in ascending order.
    """

    def __init__(self, ratio_range: tuple[float, float], **kwargs) -> None:
        super().__init__(scale_factor=1.0, **kwargs)
        if len(ratio_range) != 2 or not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(
                f'RandomRescale: ratio_range={ratio_range} is not (smallest, largest factor)'
            )
        self.ratio_range = tuple(ratio_range)

    @cache_randomness
    def draw(self) -> float:
        """Draw a factor."""
        return np.random.uniform(*self.ratio_range)

    def transform(self, results: dict) -> dict:
        """Resize ``results['img']``, (H, W, 3), and its label by one factor."""
        factor = self.draw()
        height, width = results['img'].shape[:2]
        results['scale'] = (max(1, round(width * factor)), max(1, round(height * factor)))
        results['scale_factor'] = (results['scale'][0] / width, results['scale'][1] / height)
        self._resize_img(results)
        self._resize_bboxes(results)
        self._resize_seg(results)
        self._resize_keypoints(results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio_range={self.ratio_range})'
