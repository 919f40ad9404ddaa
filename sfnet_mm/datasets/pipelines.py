"""Inspects the pipeline of a data set, and sets how its images are loaded."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import mmengine.fileio as fileio
from mmcv.transforms import LoadImageFromFile
from PIL import Image

AS_STORED = {'color': 'color_ignore_orientation', 'grayscale': 'grayscale_ignore_orientation'}
EXIF_ORIENTATION = 0x0112


def iterate_transforms(transforms: Iterable[Callable]) -> Iterator[Callable]:
    """Yield built transforms in the order in which they run, including nested ones.

    ``Compose``, ``RandomApply``, ``RandomChoice``, ``TestTimeAug`` and the pipelines of
    albumentations contain others.
    """
    for transform in transforms:
        yield transform
        for name in ('transforms', 'subroutines', 'aug'):
            inner = getattr(transform, name, ())
            yield from iterate_transforms(inner if isinstance(inner, (list, tuple)) else [inner])


def stored_color_type(color_type: str = 'color', imdecode_backend: str | None = None) -> str:
    """Return the ``color_type`` with which mmcv ignores the orientation in EXIF."""
    if imdecode_backend == 'turbojpeg':
        # This backend never rotates an image and has no other flags.
        return color_type
    return AS_STORED.get(color_type, color_type)


def load_as_stored(transforms: Iterable[Callable]) -> None:
    """Make the image loaders of a pipeline ignore the orientation in EXIF.

    Masks are made for the pixels of the file. Decoders rotate an image by its EXIF tag, but not the
    mask.
    """
    for transform in iterate_transforms(transforms):
        if isinstance(transform, LoadImageFromFile):
            transform.color_type = stored_color_type(
                transform.color_type, transform.imdecode_backend
            )


def exif_remark(path: str | None, backend_args: dict | None = None) -> str:
    """Return a remark on an image whose EXIF tag rotates it by 90 degrees, or an empty string."""
    orientation: Any = 1
    try:
        with Image.open(io.BytesIO(fileio.get(path, backend_args=backend_args))) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    except (OSError, TypeError, ValueError, SyntaxError):
        pass
    if orientation not in (5, 6, 7, 8):
        return ''
    return (
        f'; its EXIF orientation {orientation} rotates the image by 90 degrees, but not the mask: '
        'draw the mask for the pixels as the file stores them, and load the image with '
        "color_type='color_ignore_orientation'"
    )
