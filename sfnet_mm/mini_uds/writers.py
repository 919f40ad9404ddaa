"""Writes scenes in the layouts in which the four data sets are distributed."""

from __future__ import annotations

import json
import os
import os.path as osp

import cv2
import numpy as np
from mmcv import imwrite
from PIL import Image

from sfnet_mm.datasets.idd_masks import POLYGONS_SUFFIX, convert_file
from sfnet_mm.datasets.label_maps import (
    CITYSCAPES_IDS,
    DRIVING_CLASSES,
    DRIVING_PALETTE,
    MAPILLARY_IDS,
)
from sfnet_mm.datasets.polygons import draw_polygons
from sfnet_mm.utils.tooling import write_text
from sfnet_mm.visualization import save_png

from .scene import Scene

# These classes of Cityscapes have instances, with ``id * 1000 + k`` in its instance maps.
THINGS = ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')


def _with_extras(ids: dict[str, int], **extras: int) -> dict[str, int]:
    """Return the ids of every label of a scene; these labels are finer than the 19 classes."""
    table = dict(ids)
    for fine, coarse in (
        ('lane marking', 'road'),
        ('crosswalk', 'road'),
        ('curb', 'sidewalk'),
        ('bicyclist', 'rider'),
        ('motorcyclist', 'rider'),
    ):
        table[fine] = ids[coarse]
    table.update({name.replace('_', ' '): label_id for name, label_id in extras.items()})
    return table


CITYSCAPES = _with_extras(CITYSCAPES_IDS, ego_vehicle=1)
MAPILLARY = _with_extras(
    {name: ids if isinstance(ids, int) else ids[0] for name, ids in MAPILLARY_IDS.items()},
    lane_marking=24,
    crosswalk=23,
    bicyclist=20,
    motorcyclist=21,
    curb=2,
)
# 'road' has the first of its Mapillary ids (13). The first id of 'sidewalk' (2) is the curb.
MAPILLARY['sidewalk'] = 15
BDD = _with_extras({name: i for i, name in enumerate(DRIVING_CLASSES)})
IDD_NAMES = {
    'lane marking': 'road',
    'crosswalk': 'road',
    'bicyclist': 'rider',
    'motorcyclist': 'rider',
    'terrain': 'non-drivable fallback',
}


def _polygons(scene: Scene) -> list[dict]:
    return [
        {'label': item.label, 'polygon': polygon.tolist()}
        for item in scene.objects
        for polygon in item.polygons
    ]


def _write_image(path: str, image: np.ndarray) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, 94] if path.endswith('.jpg') else []
    imwrite(image[..., ::-1], path, options)


def _instance_ids(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    """Make the instance map, uint16: ``id * 1000 + k`` for things, the id for stuff."""
    # Objects are first drawn with their running number, because draw_polygons makes 8-bit maps; a
    # scene has fewer than 256 of them.
    numbers = {str(i): i for i in range(len(scene.objects))}
    objects = [
        {'label': str(i), 'polygon': polygon.tolist()}
        for i, item in enumerate(scene.objects)
        for polygon in item.polygons
    ]
    drawn = draw_polygons(objects, size, numbers, 0)
    values, counts = [], {}
    for item in scene.objects:
        name = 'rider' if item.label in ('bicyclist', 'motorcyclist') else item.label
        value = CITYSCAPES[name]
        if name in THINGS:
            counts[name] = counts.get(name, -1) + 1
            value = value * 1000 + counts[name]
        values.append(value)
    return np.asarray(values, dtype=np.uint16)[drawn]


def write_cityscapes(root: str, split: str, number: int, scene: Scene) -> None:
    """Write ``leftImg8bit`` and ``gtFine`` with labelIds and instanceIds."""
    town = 'drawnburg' if split == 'train' else 'sketchstadt'
    stem = f'{town}_{number:06d}_000019'
    _write_image(osp.join(root, 'leftImg8bit', split, town, f'{stem}_leftImg8bit.png'), scene.image)
    folder = osp.join(root, 'gtFine', split, town)
    size = scene.image.shape[:2]
    labels = draw_polygons(_polygons(scene), size, CITYSCAPES, background=0)
    save_png(osp.join(folder, f'{stem}_gtFine_labelIds.png'), labels)
    instances = osp.join(folder, f'{stem}_gtFine_instanceIds.png')
    save_png(instances, _instance_ids(scene, size))


def write_idd(root: str, split: str, number: int, scene: Scene) -> None:
    """Write images and polygons; the converter of the real IDD draws the masks from them.

    As in the two parts of IDD, some drives have PNG and some have JPEG images.
    """
    drive, extension = ('0', 'png') if number % 2 else ('201', 'jpg')
    stem = f'{number:06d}'
    image = osp.join(root, 'leftImg8bit', split, drive, f'{stem}_leftImg8bit.{extension}')
    _write_image(image, scene.image)
    polygons = osp.join(root, 'gtFine', split, drive, stem + POLYGONS_SUFFIX)
    height, width = scene.image.shape[:2]
    objects = [
        dict(item, label=IDD_NAMES.get(item['label'], item['label']), id=i, deleted=0)
        for i, item in enumerate(_polygons(scene))
    ]
    annotation = {'imgHeight': height, 'imgWidth': width, 'objects': objects}
    write_text(polygons, json.dumps(annotation))
    convert_file(polygons, image)


def _mapillary_palette() -> list[int]:
    palette = np.repeat(np.arange(256)[:, None], 3, axis=1)
    for name, color in zip(DRIVING_CLASSES, DRIVING_PALETTE):
        palette[MAPILLARY[name]] = color
    return palette.ravel().tolist()


def write_mapillary(root: str, split: str, number: int, scene: Scene) -> None:
    """Write ``training`` and ``validation`` with images and palette masks of v1.2 ids."""
    folder = osp.join(root, {'train': 'training', 'val': 'validation'}[split])
    stem = f'mini_{split}_{number:06d}'
    _write_image(osp.join(folder, 'images', f'{stem}.jpg'), scene.image)
    os.makedirs(osp.join(folder, 'labels'), exist_ok=True)
    labels = draw_polygons(_polygons(scene), scene.image.shape[:2], MAPILLARY, background=65)
    mask = Image.fromarray(labels)
    mask.putpalette(_mapillary_palette())
    mask.save(osp.join(folder, 'labels', f'{stem}.png'))


def write_bdd(root: str, split: str, number: int, scene: Scene) -> None:
    """Write ``images/10k`` and ``labels/sem_seg/masks`` of train ids."""
    stem = f'{number:08x}-{"0a1b" if split == "train" else "7dc2"}'
    _write_image(osp.join(root, 'images', '10k', split, f'{stem}.jpg'), scene.image)
    labels = draw_polygons(_polygons(scene), scene.image.shape[:2], BDD, background=255)
    save_png(osp.join(root, 'labels', 'sem_seg', 'masks', split, f'{stem}.png'), labels)


WRITERS = {
    'cityscapes': write_cityscapes,
    'idd': write_idd,
    'mapillary': write_mapillary,
    'bdd': write_bdd,
}
