"""Bounds the size of test images, which come in every resolution."""

from mmcv.transforms import Resize
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ShrinkToFit(Resize):
    """mmcv's ``Resize`` with ``keep_ratio``, which only changes images larger than ``scale``.

    Mapillary Vistas has images of up to 22 megapixels. Those of the other driving sets have 1 to 2
    megapixels and are tested at their own size. Logits are always resized to the label.

    Args:
        scale: Largest width and height of an image, in pixels.
        **kwargs: See mmcv's ``Resize``.
    """

    def __init__(self, scale: tuple, **kwargs) -> None:
        super().__init__(scale=scale, keep_ratio=True, **kwargs)

    def transform(self, results: dict) -> dict:
        """Resize ``results['img']``, (H, W, 3), if it is wider or higher than the bound."""
        height, width = results['img'].shape[:2]
        if width <= self.scale[0] and height <= self.scale[1]:
            return results
        return super().transform(results)
