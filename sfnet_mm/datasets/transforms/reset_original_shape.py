"""Scores a prediction at the size of the resized or cropped image instead of the file."""

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResetOriginalShape(BaseTransform):
    """Makes the current size of the image the size of its prediction.

    mmseg resizes logits to ``ori_shape``, the size of the file. After this transform they are
    compared with the label at its current size, which must be that of the image.

    Required Keys: img, gt_seg_map (optional)

    Modified Keys: ori_shape

    Args:
        only_with_label: Whether images without a label are skipped. Their predictions then get the
            size of the file.

    Raises:
        ValueError: Image and label differ in size: the label must be loaded first.
    """

    def __init__(self, only_with_label: bool = False) -> None:
        self.only_with_label = only_with_label

    def transform(self, results: dict) -> dict:
        """Set ``ori_shape``."""
        size = results['img'].shape[:2]
        label = results.get('gt_seg_map')
        if label is not None and label.shape[:2] != size:
            raise ValueError(
                f'ResetOriginalShape: the image has {size} pixels and its label {label.shape[:2]}: '
                'load the label before the image is resized or cropped'
            )
        if label is not None or not self.only_with_label:
            results['ori_shape'] = size
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(only_with_label={self.only_with_label})'
