"""Draws masks over images and computes the share of each class."""

from collections.abc import Sequence

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmseg.structures import SegDataSample

from .sheet import color_labels


def overlay(
    image: np.ndarray, mask: np.ndarray, palette: Sequence, opacity: float = 0.5
) -> np.ndarray:
    """Blend the colors of a mask into an image.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) class indices.
        palette: One triple per class, in the channel order of ``image``.
        opacity: Opacity of the colors, 0 to 1.

    Raises:
        ValueError: Image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f'the image is {image.shape[:2]} and the mask {mask.shape} pixels')
    blend = image.astype(np.float32) * (1 - opacity)
    blend += color_labels(mask, palette).astype(np.float32) * opacity
    return np.rint(blend).astype(np.uint8)


def class_shares(mask: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Return the share of pixels, 0 to 1, of each class that occurs, largest first.

    Args:
        mask: (H, W) class indices.
        classes: Names of the classes.
    """
    counts = np.bincount(mask.ravel(), minlength=len(classes))[: len(classes)]
    found = {name: n / mask.size for name, n in zip(classes, counts.tolist()) if n}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def read_sample_image(sample: SegDataSample, backend_args: dict | None = None) -> np.ndarray:
    """Read the image of a sample as (H, W, 3) uint8, RGB.

    With a label, its pixels are those of the file, as the data set loaded them. An image alone is
    rotated by its EXIF tag.

    Args:
        sample: Sample with ``img_path``.
        backend_args: How to read the file; see ``mmengine.fileio.get``.

    Raises:
        ValueError: OpenCV cannot decode the file as a picture.
    """
    content = fileio.get(sample.img_path, backend_args=backend_args)
    flag = 'color_ignore_orientation' if 'gt_sem_seg' in sample else 'color'
    image = mmcv.imfrombytes(content, flag=flag)
    if image is None:
        raise ValueError(f'OpenCV cannot decode {sample.img_path}')
    # Without this, mmcv returns BGR when it ignores EXIF.
    return np.ascontiguousarray(image[..., ::-1])


def class_map(sample: SegDataSample, name: str) -> np.ndarray:
    """Return the class indices (H, W) of one map of a sample, such as ``'pred_sem_seg'``."""
    return getattr(sample, name).data.squeeze(0).long().cpu().numpy()
