"""Draws id masks of India Driving from its polygons.

IDD (https://idd.insaan.iiit.ac.in) distributes
``gtFine/{split}/{drive}/{frame}_gtFine_polygons.json``. The masks are written beside them as
``{frame}_gtFine_labelids.png`` and have the field ``id`` of the AutoNUE label table
(:data:`~sfnet_mm.datasets.label_maps.IDD_LABELS`).
"""

from __future__ import annotations

import glob
import json
import os
import os.path as osp
from functools import partial

from mmengine.fileio import get_text
from mmengine.utils import is_list_of
from PIL import Image

from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.visualization import save_png

from .label_maps import IDD_NAME_TO_ID
from .polygons import draw_polygons

POLYGONS_SUFFIX = '_gtFine_polygons.json'
MASK_SUFFIX = '_gtFine_labelids.png'
IMAGE_SUFFIXES = ('_leftImg8bit.png', '_leftImg8bit.jpg', '_image.jpg')


def mask_path_of(polygons: str) -> str:
    """Return the path of the mask of a polygon file."""
    return polygons[: -len(POLYGONS_SUFFIX)] + MASK_SUFFIX


def is_done(polygons: str) -> bool:
    """Return whether the mask exists and is not older than its polygons."""
    mask = mask_path_of(polygons)
    return osp.isfile(mask) and osp.getmtime(mask) >= osp.getmtime(polygons)


def convert_file(polygons: str, image: str | None = None) -> None:
    """Draw the mask of one polygon file.

    Args:
        polygons: ``..._gtFine_polygons.json`` with ``imgHeight``, ``imgWidth``, ``objects``.
        image: Image whose size the mask must have; None skips that check.

    Raises:
        ValueError: The file has another form, a label is unknown, or the size is not the image's.
    """
    try:
        annotation = json.loads(get_text(polygons))
        size = int(annotation['imgHeight']), int(annotation['imgWidth'])
        objects = annotation['objects']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{polygons}: not a polygon file with imgHeight, imgWidth and objects '
            f'({type(error).__name__}: {error})'
        ) from None
    if not is_list_of(objects, dict) and objects != []:
        raise ValueError(f'{polygons}: "objects" is not a list of objects')
    if image is not None:
        with Image.open(image) as picture:
            if picture.size[::-1] != size:
                raise ValueError(
                    f'{polygons}: says {size[0]}x{size[1]} (height x width), but {image} has '
                    f'{picture.height}x{picture.width}'
                )
    try:
        mask = draw_polygons(objects, size, IDD_NAME_TO_ID, IDD_NAME_TO_ID['unlabeled'])
    except ValueError as error:
        raise ValueError(f'{polygons}: {error}') from None
    save_png(mask_path_of(polygons), mask)


def _find_image(data_root: str, polygons: str) -> str | None:
    name = osp.relpath(polygons, osp.join(data_root, 'gtFine'))[: -len(POLYGONS_SUFFIX)]
    images = (osp.join(data_root, 'leftImg8bit', name + suffix) for suffix in IMAGE_SUFFIXES)
    return next(filter(osp.isfile, images), None)


def _convert_checked(data_root: str, polygons: str) -> str | None:
    """Convert one file; return an error as text, so that the other files are converted."""
    try:
        convert_file(polygons, _find_image(data_root, polygons))
    except (ValueError, OSError) as error:
        return ' '.join(str(error).split())
    return None


def convert_idd(
    data_root: str | os.PathLike,
    splits: tuple[str, ...] = ('train', 'val'),
    workers: int | None = None,
    force: bool = False,
) -> tuple[int, int, list[str]]:
    """Draw every mask that is missing or older than its polygons.

    A run that was interrupted continues where it stopped, because a mask that exists is complete.

    Args:
        data_root: The folder that holds ``gtFine`` and ``leftImg8bit``.
        splits: Names of the splits to draw.
        workers: Number of processes; None takes one per CPU.
        force: Also draw masks that exist.

    Returns:
        Number of masks written, number of masks that existed, and one line per file that could not
        be converted.

    Raises:
        FileNotFoundError: There are no polygons in the expected folder.
    """
    files: list[str] = []
    for split in splits:
        folder = osp.join(data_root, 'gtFine', split)
        found = sorted(glob.glob(osp.join('*', f'*{POLYGONS_SUFFIX}'), root_dir=folder))
        if not found:
            raise FileNotFoundError(
                f'idd: no *{POLYGONS_SUFFIX} in {folder}/*/; give the folder that holds gtFine '
                'and leftImg8bit'
            )
        files += [osp.join(folder, name) for name in found]
    todo = [file for file in files if force or not is_done(file)]
    results = parallel_map(partial(_convert_checked, data_root), todo, workers)
    errors = [line for line in results if line]
    return len(todo) - len(errors), len(files) - len(todo), errors
