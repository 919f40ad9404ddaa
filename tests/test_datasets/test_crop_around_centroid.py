"""Crops around centroids, and what may stand before them in a pipeline."""

import numpy as np
import pytest
from scipy.stats import chisquare
from uniform_streets import PIPELINE, dataset, uniform

from sfnet_mm.datasets import CropAroundCentroid

MOVERS = [
    dict(type='RandomRotate', prob=1.0, degree=20),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomRotFlip'),
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='CenterCrop', crop_size=(32, 32)),
    dict(type='Pad', size=(80, 80)),
    dict(type='ResetOriginalShape'),
]


@pytest.mark.parametrize('mover', MOVERS, ids=lambda mover: mover['type'])
@pytest.mark.parametrize('wrapper', [None, 'RandomApply', 'RandomChoice'])
def test_what_moves_pixels_before_the_crop_is_refused(streets, mover, wrapper):
    if wrapper:
        nested = dict(RandomApply=[mover], RandomChoice=[[mover]])[wrapper]
        step = dict(type=wrapper, transforms=nested)
    else:
        step = mover
    with pytest.raises(ValueError, match=f'{mover["type"]} moves pixels.*after the crop'):
        uniform(dataset(streets, [*PIPELINE[:2], step, *PIPELINE[2:]]))
    uniform(dataset(streets, [*PIPELINE[:3], step, *PIPELINE[3:]]))


def test_resizing_and_colors_before_the_crop_are_allowed(streets):
    resizes = [
        dict(type='Resize', scale_factor=1.5, keep_ratio=True),
        dict(type='RandomResize', scale=(64, 40), ratio_range=(0.9, 2.0)),
        dict(type='RandomApply', transforms=[dict(type='PhotoMetricDistortion')]),
        dict(type='RandomGaussianBlur'),
    ]
    data = uniform(dataset(streets, [*PIPELINE[:2], *resizes, *PIPELINE[2:]]))
    assert all(data[0, i] is not None for i in range(10))


def results(shape, centroid, loaded=None):
    return dict(
        img=np.zeros((*shape, 3), np.uint8),
        gt_seg_map=np.zeros(shape, np.uint8),
        seg_fields=['gt_seg_map'],
        ori_shape=loaded or shape,
        img_shape=shape,
        centroid=centroid,
    )


@pytest.mark.parametrize(
    'shape, loaded', [((40, 60), (40, 60)), ((60, 90), (40, 60)), ((25, 38), (40, 60))]
)
@pytest.mark.parametrize('crop', [(8, 8), (9, 13), (16, 24)])
def test_crop_holds_every_centroid_also_after_resizing(shape, loaded, crop):
    transform = CropAroundCentroid(crop)
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, y = int(rng.integers(loaded[1])), int(rng.integers(loaded[0]))
        y0, y1, x0, x1 = transform.crop_bbox(results(shape, (x, y), loaded))
        assert 0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]
        assert (y1 - y0, x1 - x0) == crop
        assert y0 <= int((y + 0.5) * shape[0] / loaded[0]) < y1
        assert x0 <= int((x + 0.5) * shape[1] / loaded[1]) < x1


def test_crop_without_jitter_is_centered_and_with_it_uniform():
    middle = CropAroundCentroid(11, jitter=0)
    y0, y1, x0, x1 = middle.crop_bbox(results((50, 50), (20, 30)))
    assert (y0, y1, x0, x1) == (25, 36, 15, 26)
    np.random.seed(1)
    full = CropAroundCentroid(11)
    starts = [full.crop_bbox(results((50, 50), (20, 30)))[0] for _ in range(2200)]
    values, counts = np.unique(starts, return_counts=True)
    assert values.tolist() == list(range(20, 31)) and chisquare(counts).pvalue > 0.001


def test_crop_larger_than_the_image_keeps_the_image():
    out = CropAroundCentroid((64, 20))(results((40, 60), (59, 39)))
    assert out['img'].shape == (40, 20, 3) == (*out['gt_seg_map'].shape, 3)
    assert out['img_shape'] == (40, 20)


def test_crop_errors():
    with pytest.raises(ValueError, match='jitter=2'):
        CropAroundCentroid(8, jitter=2)
    with pytest.raises(ValueError, match='outside of the image of 60x40'):
        CropAroundCentroid(8)(results((40, 60), (60, 3)))
    with pytest.raises(ValueError, match='RandomFlip after the crop'):
        CropAroundCentroid(8)(dict(results((40, 60), (5, 3)), flip=True))
    with pytest.raises(ValueError, match='40x60 pixels .* has 30x60 without a resize'):
        CropAroundCentroid(8)(results((30, 60), (5, 3), (40, 60)))
