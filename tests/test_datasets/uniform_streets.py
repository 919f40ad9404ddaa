"""A data set of colored blobs, sampled class-uniformly."""

import numpy as np
from helpers import png_dataset
from mmcv import imwrite
from mmseg.registry import DATASETS
from scipy.ndimage import gaussian_filter

from sfnet_mm.datasets import ClassUniformDataset
from sfnet_mm.datasets.wrappers import leaves

CLASSES = tuple('abcdef')


def blobs(seed, shape, classes):
    """A mask of ragged regions with some ignored pixels."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.random(shape), 3) for _ in range(classes)]
    mask = np.argmax(layers, 0).astype(np.uint8)
    mask[:2, : shape[1] // 2] = 255
    return mask


def scan(mask, tile, classes):
    """The definition: for each tile and each class in it, the mean of the pixels' coordinates."""
    found = []
    for top in range(0, mask.shape[0], tile):
        for left in range(0, mask.shape[1], tile):
            for c in range(classes):
                pixels = [
                    (y, x)
                    for y in range(top, top + tile)
                    for x in range(left, left + tile)
                    if mask[y, x] == c
                ]
                if pixels:
                    y, x = np.mean(pixels, axis=0, dtype=np.float64)
                    found.append((c, int(x), int(y)))
    return found


def write(folder, masks):
    for i, mask in enumerate(masks):
        imwrite(mask, folder / 'ann' / f'{i:03d}.png')
        # The red channel holds the column and the green one the row of each pixel.
        ys, xs = np.mgrid[: mask.shape[0], : mask.shape[1]]
        image = np.stack([np.zeros_like(xs), ys, xs], -1).astype(np.uint8)
        imwrite(image, folder / 'img' / f'{i:03d}.png')
    return folder


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CropAroundCentroid', crop_size=(16, 24)),
    dict(type='PackSegInputs', meta_keys=('seg_map_path',)),
]


def dataset(folder, pipeline=PIPELINE, classes=CLASSES, **options):
    metainfo = dict(classes=classes) if classes else {}
    return DATASETS.build(png_dataset(folder, pipeline=pipeline, metainfo=metainfo, **options))


def uniform(data, **kwargs):
    kwargs = dict(dict(tile=32, num_classes=6, seed=5, workers=1), **kwargs)
    return ClassUniformDataset(data, **kwargs)


def centers(data, epoch):
    infos = [data.get_data_info((epoch, i)) for i in range(len(data))]
    return [i['centroid_class'] for i in infos if 'centroid' in i], infos


def count_loads(monkeypatch):
    loads = []
    load = leaves.load_train_ids

    def counted(transform, info):
        loads.append(info['seg_map_path'])
        return load(transform, info)

    monkeypatch.setattr(leaves, 'load_train_ids', counted)
    return loads
