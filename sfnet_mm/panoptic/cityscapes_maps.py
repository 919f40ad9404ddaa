"""Makes panoptic maps and annotations of Cityscapes from its instance maps."""

import json
import os
import os.path as osp
from functools import partial
from glob import escape, glob

import cv2
import numpy as np
from PIL import Image, PngImagePlugin
from scipy import ndimage

from sfnet_mm.datasets.label_maps import CITYSCAPES_IDS, DRIVING_CLASSES
from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.utils.tooling import atomic_file, write_text

from .cityscapes_panoptic import NUM_STUFF_CLASSES, things_first

SUFFIX = '_gtFine_instanceIds.png'
IMAGE_SUFFIX = '_leftImg8bit.png'
RECORD = 'panoptic'
# A PNG stores an id in 24 bits. Every image has its own range of ids, so that its ids do not depend
# on other images.
ID_LIMIT = 2**24 - 1
IDS_PER_IMAGE = 4096
LAST_LABEL_ID = 33

CLASSES = things_first(DRIVING_CLASSES)
NUM_THINGS = len(CLASSES) - NUM_STUFF_CLASSES
CATEGORY_OF = {CITYSCAPES_IDS[name]: i for i, name in enumerate(CLASSES)}


def find_segments(instance_ids: np.ndarray, first_id: int) -> tuple[np.ndarray, list[dict]]:
    """Find the panoptic ids and the segments of one instance map.

    Args:
        instance_ids: (H, W), the label id of a pixel, or ``label id * 1000 + k`` for instance k.
        first_id: Id of the first segment; 0 is void.

    Returns:
        tuple: Ids (H, W), uint32, and for each segment ``id``, ``category_id`` (things first),
        ``area`` in pixels, ``bbox`` (x, y, width, height) and ``iscrowd`` (a group of things).

    Raises:
        ValueError: A value cannot occur in an instance map of Cityscapes, or there are too many
            segments.
    """
    values, index, areas = np.unique(instance_ids, return_inverse=True, return_counts=True)
    index = index.reshape(instance_ids.shape)
    boxes = ndimage.find_objects(index + 1)
    ids = np.zeros(len(values), dtype=np.uint32)
    segments: list[dict] = []
    for i, value in enumerate(values.tolist()):
        is_instance = value >= 1000
        label = value // 1000 if is_instance else value
        category = CATEGORY_OF.get(label)
        if label > LAST_LABEL_ID or (is_instance and (category or 0) >= NUM_THINGS):
            raise ValueError(
                f'value {value} is neither a label id (0..{LAST_LABEL_ID}) nor an instance of '
                'a thing'
            )
        if category is None:
            continue
        ids[i] = first_id + len(segments)
        rows, columns = boxes[i]
        x, y = columns.start, rows.start
        segments.append(
            dict(
                id=int(ids[i]),
                category_id=category,
                area=int(areas[i]),
                bbox=[x, y, columns.stop - x, rows.stop - y],
                iscrowd=int(category < NUM_THINGS and not is_instance),
            )
        )
    if len(segments) > IDS_PER_IMAGE:
        raise ValueError(f'{len(segments)} segments are more than {IDS_PER_IMAGE}')
    return ids[index], segments


def _read_record(path: str, source: dict) -> dict | None:
    """Read the record of a map that was written before from the same source, or None."""
    try:
        with Image.open(path) as image:
            record = json.loads(image.info[RECORD])
        return record if record['source'] == source else None
    except (OSError, KeyError, ValueError):
        return None


def convert_map(folder: str, task: tuple[str, int]) -> tuple[dict, bool]:
    """Write the panoptic map of one image, unless it exists.

    The map stores its segments in a PNG text field, so that an interrupted run can continue from
    the maps alone.

    Args:
        folder: Folder of the map, which has the name of the image.
        task: Path of the instance map, and the id of its first segment.

    Returns:
        tuple: ``height``, ``width`` and ``segments_info``; and whether the map existed.

    Raises:
        ValueError: The instance map cannot be read or has other values.
    """
    path, first_id = task
    stat = os.stat(path)
    source = dict(size=stat.st_size, mtime=stat.st_mtime_ns, first_id=first_id)
    target = osp.join(folder, osp.basename(path).replace(SUFFIX, IMAGE_SUFFIX))
    record = _read_record(target, source)
    if record is not None:
        return record, True
    instance_ids = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if instance_ids is None or instance_ids.ndim != 2:
        raise ValueError(f'{path} is truncated or not an instance map (one channel, 16 bits)')
    try:
        ids, segments = find_segments(instance_ids, first_id)
    except ValueError as e:
        raise ValueError(f'{path}: {e}') from None
    height, width = ids.shape
    record = dict(source=source, height=height, width=width, segments_info=segments)
    text = PngImagePlugin.PngInfo()
    text.add_text(RECORD, json.dumps(record))
    rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)
    with atomic_file(target) as temporary:
        Image.fromarray(rgb).save(temporary, format='PNG', pnginfo=text)
    return record, False


def convert_cityscapes(
    data_root: str, split: str, out_dir: str | None = None, workers: int | None = None
) -> tuple[str, int, int]:
    """Write ``cityscapes_panoptic_{split}_mmdet.json`` and the folder of maps of the same name.

    Args:
        data_root: Folder of ``leftImg8bit`` and ``gtFine``.
        split: ``'train'`` or ``'val'``.
        out_dir: Folder of both; None takes ``gtFine``.
        workers: Number of processes; None takes one per CPU.

    Returns:
        tuple: Path of the JSON, number of maps written, number of maps that existed.

    Raises:
        FileNotFoundError: There are no instance maps, or an image is missing.
        ValueError: See :func:`convert_map`.
    """
    folder = osp.join(data_root, 'gtFine', split)
    paths = sorted(glob(osp.join(escape(folder), '*', f'*{SUFFIX}')))
    if not paths:
        raise FileNotFoundError(
            f'no instance maps {folder}/*/*{SUFFIX}: unpack gtFine_trainvaltest.zip of '
            'Cityscapes in that folder, or name another split'
        )
    names = [osp.relpath(p, folder).replace(SUFFIX, IMAGE_SUFFIX) for p in paths]
    images = [osp.join(data_root, 'leftImg8bit', split, name) for name in names]
    missing = [image for image in images if not osp.isfile(image)]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(images)} images are missing, first {missing[0]}: '
            'unpack leftImg8bit_trainvaltest.zip of Cityscapes'
        )
    stride = min(IDS_PER_IMAGE, ID_LIMIT // len(paths))
    target = osp.join(
        out_dir or osp.join(data_root, 'gtFine'), f'cityscapes_panoptic_{split}_mmdet'
    )
    os.makedirs(target, exist_ok=True)
    tasks = [(path, 1 + i * stride) for i, path in enumerate(paths)]
    results = parallel_map(partial(convert_map, target), tasks, workers)

    annotation = dict(
        images=[
            dict(id=i, file_name=name, height=r['height'], width=r['width'])
            for i, (name, (r, _)) in enumerate(zip(names, results))
        ],
        annotations=[
            dict(image_id=i, file_name=osp.basename(name), segments_info=r['segments_info'])
            for i, (name, (r, _)) in enumerate(zip(names, results))
        ],
        categories=[
            dict(id=i, name=name, isthing=int(i < NUM_THINGS)) for i, name in enumerate(CLASSES)
        ],
    )
    write_text(f'{target}.json', json.dumps(annotation))
    kept = sum(was_there for _, was_there in results)
    return f'{target}.json', len(paths) - kept, kept
