"""Draws masks of ids from polygons in the formats of COCO, to which CVAT exports, and LabelMe."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
from glob import escape, glob
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import read_json
from sfnet_mm.visualization import save_png

from .label_maps import IGNORE_INDEX
from .polygons import draw_polygons


def polygon_masks(
    annotations: str, classes: Sequence[str], rest: int = IGNORE_INDEX
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the mask of each image.

    Args:
        annotations: A COCO file of instances, or a folder with the ``.json`` files that LabelMe
            writes beside images.
        classes: Names of the classes in the order of their ids.
        rest: Id for the pixels that no shape covers.

    Yields:
        tuple: The name of the image without suffix, and the ids, uint8 (H, W). If shapes overlap,
        the last one is on top in LabelMe, and the smallest one in COCO.

    Raises:
        FileNotFoundError: There is no such file, or no ``.json`` in the folder.
        ValueError: A file has neither format, a shape has another class or no area, or there are
            more ids than 8 bits can hold.
        ImportError: The file is from COCO, and pycocotools is not installed.
    """
    if len(set(classes)) != len(classes) or not 0 < len(classes) <= IGNORE_INDEX:
        raise ValueError(f'{len(classes)} classes: give 1 to {IGNORE_INDEX} names, each once')
    if osp.isdir(annotations):
        paths = sorted(glob(osp.join(escape(annotations), '**', '*.json'), recursive=True))
        if not paths:
            raise FileNotFoundError(f'{annotations} holds no .json of LabelMe')
        for path in paths:
            name = osp.splitext(osp.relpath(path, annotations))[0]
            yield name, labelme_mask(path, classes, rest)
    else:
        yield from coco_masks(annotations, classes, rest)


def labelme_mask(path: str, classes: Sequence[str], rest: int) -> np.ndarray:
    """Draw the mask of a LabelMe file; see :func:`polygon_masks`."""
    data = read_json(path)
    if not isinstance(data, dict) or not {'shapes', 'imageHeight', 'imageWidth'} <= data.keys():
        raise ValueError(
            f'{path} is not a file of LabelMe: shapes, imageHeight or imageWidth is missing'
        )
    objects = [dict(label=s['label'], polygon=_outline(s, path)) for s in data['shapes']]
    _check({o['label'] for o in objects}, classes, path)
    size = data['imageHeight'], data['imageWidth']
    try:
        return draw_polygons(objects, size, {name: i for i, name in enumerate(classes)}, rest)
    except ValueError as e:
        raise ValueError(f'{path}: {e}') from None


def _outline(shape: dict, path: str) -> Any:
    """Convert a shape of LabelMe to a polygon."""
    kind, points = shape.get('shape_type') or 'polygon', shape['points']
    if kind == 'rectangle':
        (x0, y0), (x1, y1) = points
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if kind == 'circle':  # its center and a point on it
        center, edge = np.array(points, float)
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        return center + np.hypot(*(edge - center)) * np.stack([np.cos(angle), np.sin(angle)], 1)
    if kind != 'polygon':
        raise ValueError(f'{path} has a {kind} of {shape["label"]!r}, which covers no area')
    return points


def coco_masks(path: str, classes: Sequence[str], rest: int) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the masks of a COCO file with pycocotools; see :func:`polygon_masks`."""
    data = read_json(path)
    if not isinstance(data, dict) or not {'images', 'annotations', 'categories'} <= data.keys():
        raise ValueError(f'{path} is not a COCO file: images, annotations or categories is missing')
    try:
        from pycocotools.coco import COCO
    except ImportError:
        raise ImportError('COCO files need pycocotools: pip install pycocotools') from None
    coco = COCO()
    coco.dataset = data
    coco.createIndex()
    names = {key: value['name'] for key, value in coco.cats.items()}
    used = {names[a['category_id']] for a in data['annotations']}
    _check(used, classes, path)
    for image in data['images']:
        mask = np.full((image['height'], image['width']), rest, np.uint8)
        shapes = [(coco.annToMask(s) > 0, s['category_id']) for s in coco.imgToAnns[image['id']]]
        for inside, category in sorted(shapes, key=lambda shape: -shape[0].sum()):
            mask[inside] = classes.index(names[category])
        yield osp.splitext(image['file_name'])[0], mask


def _check(found: set, classes: Sequence[str], path: str) -> None:
    unknown = ', '.join(sorted(map(str, found - set(classes))))
    if unknown:
        raise ValueError(f'{path} has shapes of {unknown}: add them to --classes')


def write_masks(masks: Iterator[tuple[str, np.ndarray]], out: str) -> int:
    """Write each mask to ``out/NAME.png`` and return the number of masks.

    Raises:
        ValueError: Two images have the same name, or a name leads out of the folder.
    """
    written = set()
    for name, mask in masks:
        path = osp.normpath(osp.join(out, f'{name}.png'))
        if not osp.abspath(path).startswith(osp.join(osp.abspath(out), '')):
            raise ValueError(f'the image {name} is named outside of its folder: rename it')
        if path in written:
            raise ValueError(f'two images are called {name}: their masks would be one file')
        written.add(path)
        save_png(path, mask)
    return len(written)
