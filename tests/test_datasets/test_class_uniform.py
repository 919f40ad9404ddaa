"""Class-uniform sampling: index, draws, crops and what happens when something goes wrong."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from mmengine.dataset import RepeatDataset
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import chisquare
from torch.utils.data import DataLoader

from sfnet_mm.datasets import ClassUniformDataset, ClassUniformSampler, CropAroundCentroid
from sfnet_mm.datasets.wrappers import (
    CentroidIndex,
    class_centroids,
    leaves,
    tile_edges,
)
from sfnet_mm.datasets.wrappers.centroid_index import index_key
from sfnet_mm.datasets.wrappers.leaves import leaves_of

CLASSES = tuple('abcdef')
init_default_scope('mmseg')


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


@pytest.mark.parametrize('shape, tile', [((32, 64), 32), ((48, 96), 16), ((40, 40), 40)])
def test_centroids_are_those_of_a_scan_per_class_and_tile(shape, tile):
    mask = blobs(1, shape, 5)
    assert [tuple(row) for row in class_centroids(mask, tile, 5)] == scan(mask, tile, 5)


def test_centroids_of_noise_and_of_one_class():
    noise = np.random.default_rng(0).integers(0, 7, (24, 24)).astype(np.uint8)
    assert [tuple(r) for r in class_centroids(noise, 12, 5)] == scan(noise, 12, 5)
    assert class_centroids(np.full((6, 9), 3, np.uint8), 9, 5).tolist() == [[3, 4, 2]]
    assert class_centroids(np.full((6, 9), 255, np.uint8), 9, 5).shape == (0, 3)


@pytest.mark.parametrize('size, tile', [(720, 1024), (1280, 1024), (1080, 1024), (7, 3), (5, 5)])
def test_tiles_cover_the_image_and_stay_inside(size, tile):
    edges = tile_edges(size, tile)
    assert edges[0] == 0 and edges[-1] == size
    assert (np.diff(edges) > 0).all() and np.diff(edges).max() <= tile


def test_an_image_of_720_rows_has_centroids():
    mask = np.zeros((720, 1280), np.uint8)
    mask[700:, 1200:] = 2
    found = class_centroids(mask, 1024, 19)
    assert set(found[:, 0]) == {0, 2}
    assert [2, 1239, 709] in found.tolist()


def write(folder, masks, image_size=None):
    (folder / 'img').mkdir(parents=True, exist_ok=True)
    (folder / 'ann').mkdir(exist_ok=True)
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / 'ann' / f'{i:03d}.png')
        # The red channel holds the column and the green one the row of each pixel.
        ys, xs = np.mgrid[: mask.shape[0], : mask.shape[1]]
        image = np.stack([xs, ys, np.zeros_like(xs)], -1).astype(np.uint8)
        Image.fromarray(image).save(folder / 'img' / f'{i:03d}.png')
    return folder


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CropAroundCentroid', crop_size=(16, 24)),
    dict(type='PackSegInputs', meta_keys=('seg_map_path',)),
]


def dataset(folder, pipeline=PIPELINE, classes=CLASSES):
    return BaseSegDataset(
        data_root=str(folder),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        img_suffix='.png',
        metainfo=dict(classes=classes) if classes else {},
        pipeline=pipeline,
    )


def uniform(data, **kwargs):
    kwargs = dict(dict(tile=32, num_classes=6, seed=5, workers=1), **kwargs)
    return ClassUniformDataset(data, **kwargs)


@pytest.fixture
def streets(tmp_path):
    """Sixty images whose classes are very unequal; the last class never occurs."""
    masks = []
    for i in range(60):
        mask = np.zeros((40, 64), np.uint8)
        mask[10:20] = 1
        mask[20:30, : 5 + i % 7] = 2
        if i % 5 == 0:
            mask[30:34, 8:12] = 3
        if i == 17:
            mask[36:38, 40:42] = 4
        masks.append(mask)
    return write(tmp_path / 'streets', masks)


def centers(data, epoch):
    infos = [data.get_data_info((epoch, i)) for i in range(len(data))]
    return [i['centroid_class'] for i in infos if 'centroid' in i], infos


def test_an_epoch_has_equally_many_crops_of_every_class_that_occurs(streets):
    data = uniform(dataset(streets), fraction=0.5)
    assert len(data) == 60 and data.metainfo['classes'] == CLASSES
    classes, infos = centers(data, 0)
    assert np.bincount(classes).tolist() == [6] * 5
    plain = [i['img_path'] for i in infos if 'centroid' not in i]
    assert len(plain) == 30 == len(set(plain))
    # Other fractions; what does not divide goes to the plain images.
    assert np.bincount(centers(uniform(dataset(streets), fraction=0.99), 0)[0]).tolist() == [11] * 5
    assert centers(uniform(dataset(streets), fraction=0), 0)[0] == []
    assert np.bincount(centers(uniform(dataset(streets), fraction=0.01), 0)[0]).tolist() == [1] * 5


def test_draws_with_plain_indices_are_uniform_over_classes_and_centroids(streets):
    data = uniform(dataset(streets))
    np.random.seed(0)
    infos = [data.get_data_info(i) for _ in range(40) for i in range(len(data))]
    drawn = [i for i in infos if 'centroid' in i]
    assert np.bincount([i['centroid_class'] for i in drawn]).tolist() == [240] * 5
    images = [i['seg_map_path'] for i in drawn if i['centroid_class'] == 3]
    assert chisquare(np.unique(images, return_counts=True)[1]).pvalue > 0.001
    assert len(set(images)) == 12
    plain = [i['seg_map_path'] for i in infos if 'centroid' not in i]
    assert chisquare(np.unique(plain, return_counts=True)[1]).pvalue > 0.001
    assert len(set(plain)) == 60


def test_sampled_centroids_cover_a_class_evenly_over_epochs(streets):
    data = uniform(dataset(streets))
    images = [
        i['img_path']
        for epoch in range(60)
        for i in centers(data, epoch)[1]
        if i.get('centroid_class') == 1
    ]
    assert chisquare(np.unique(images, return_counts=True)[1]).pvalue > 0.001
    # Twelve images hold class 3: none comes twice before every one came once.
    for epoch in range(5):
        rare = [i['img_path'] for i in centers(data, epoch)[1] if i.get('centroid_class') == 3]
        assert len(rare) == len(set(rare)) == 6


def test_centroids_are_those_of_the_masks(streets):
    for info in centers(uniform(dataset(streets)), 0)[1]:
        if 'centroid' in info:
            mask = np.asarray(Image.open(info['seg_map_path']))
            found = class_centroids(mask, 32, 6).tolist()
            assert [info['centroid_class'], *info['centroid']] in found


def test_crops_hold_their_center(streets):
    data = uniform(dataset(streets))
    seen = set()
    for i in range(data.num_crops):
        x, y = data.get_data_info((3, i))['centroid']
        crop = data[3, i]['inputs'].numpy()
        assert crop.shape == (3, 16, 24)
        assert crop[2].min() <= x <= crop[2].max() and crop[1].min() <= y <= crop[1].max()
        seen.add((x - crop[2].min(), y - crop[1].min()))
    assert len(seen) > 15  # not always in the same place of the crop


def test_epochs_differ_and_are_the_same_on_every_rank_and_after_a_restart(streets):
    first, second = uniform(dataset(streets)), uniform(dataset(streets))
    epochs = [centers(first, e)[1] for e in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert centers(second, 2)[1] == epochs[2]  # without having been through 0 and 1
    assert centers(uniform(dataset(streets), seed=6), 0)[1] != epochs[0]


@pytest.mark.parametrize('workers', [0, 2])
def test_sampler_carries_epochs_to_workers(streets, workers):
    data = uniform(dataset(streets))
    sampler = ClassUniformSampler(data, infinite=True, seed=3)
    loader = DataLoader(
        data,
        10,
        sampler=sampler,
        num_workers=workers,
        collate_fn=list,
        persistent_workers=workers > 0,
    )
    batches = iter(loader)
    read = [item['data_samples'].seg_map_path for _ in range(12) for item in next(batches)]
    expected = []
    for epoch in range(2):
        reference = ClassUniformSampler(data, seed=3)
        reference.set_epoch(epoch)
        indices = list(reference)
        assert sorted(indices) == [(epoch, i) for i in range(60)]
        expected += [data.get_data_info(i)['seg_map_path'] for i in indices]
    assert read == expected


def test_sampler_splits_an_epoch_among_ranks(streets, monkeypatch):
    data = uniform(dataset(streets))
    shares = []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, 2))
        sampler = ClassUniformSampler(data, seed=1)
        sampler.set_epoch(4)
        shares.append(list(sampler))
    assert sorted(shares[0] + shares[1]) == [(4, i) for i in range(60)]


def test_concatenated_and_repeated_data_sets(streets, tmp_path):
    other = write(tmp_path / 'other', [np.full((40, 64), 5, np.uint8)])
    data = uniform(
        RepeatDataset(dict(type='ConcatDataset', datasets=[dataset(streets), dataset(other)]), 3)
    )
    assert len(data) == 183
    classes, infos = centers(data, 0)
    assert np.bincount(classes).tolist() == [15] * 6
    assert all('/other/' in i['img_path'] for i in infos if i.get('centroid_class') == 5)


def test_builds_from_a_config(streets):
    config = dict(
        type='BaseSegDataset',
        data_root=str(streets),
        pipeline=PIPELINE,
        img_suffix='.png',
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=CLASSES),
    )
    data = DATASETS.build(
        dict(
            type='ClassUniformDataset',
            dataset=config,
            tile=32,
            num_classes=6,
            seed=5,
            lazy_init=True,
        )
    )
    assert data[0, 0]['inputs'].shape == (3, 16, 24)


def test_coarse_labels_add_centroids_of_rare_classes_only(streets, tmp_path):
    coarse = np.zeros((40, 64), np.uint8)
    coarse[5:15, 5:15] = 4
    folder = write(tmp_path / 'coarse', [coarse] * 3)
    data = uniform(dataset(streets), coarse=dataset(folder), coarse_classes=(4,))
    classes, infos = centers(data, 1)
    assert np.bincount(classes).tolist() == [6] * 5
    from_coarse = [i for i in infos if '/coarse/' in i['img_path']]
    assert {i['centroid_class'] for i in from_coarse} == {4} and len(from_coarse) > 3
    plain = [i['img_path'] for i in infos if 'centroid' not in i]
    assert not any('/coarse/' in p for p in plain)


# The index on disk


def count_loads(monkeypatch):
    loads = []
    call = leaves.MaskLoader.__call__

    def counted(self, info):
        loads.append(info['seg_map_path'])
        return call(self, info)

    monkeypatch.setattr(leaves.MaskLoader, '__call__', counted)
    return loads


def test_index_is_built_once_and_again_when_something_changes(streets, monkeypatch, tmp_path):
    loads = count_loads(monkeypatch)

    def loaded(**kwargs):
        loads.clear()
        uniform(dataset(streets), **kwargs)
        return len(loads)

    assert loaded() == 60
    assert loaded() == 0
    assert loaded(fraction=0.1, seed=9) == 0
    assert loaded(tile=16) == 60
    assert loaded(num_classes=4) == 60
    assert loaded(index_dir=str(tmp_path / 'elsewhere')) == 60
    assert (tmp_path / 'elsewhere').is_dir()
    # The same number of bytes, another time.
    os.utime(streets / 'ann' / '003.png', (1, 1))
    assert loaded() == 60
    stored = list((streets / 'ann' / '.centroids').iterdir())
    # No part or temporary file is left; the empty lock files are.
    assert {f.suffix for f in stored} <= {'.npz', '.lock'}


def test_index_depends_on_the_label_space(streets, monkeypatch):
    loads = count_loads(monkeypatch)
    uniform(dataset(streets))
    chosen = BaseSegDataset(
        data_root=str(streets),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        img_suffix='.png',
        pipeline=PIPELINE,
        reduce_zero_label=True,
        metainfo=dict(classes=CLASSES),
    )
    loads.clear()
    data = uniform(chosen)
    assert len(loads) == 60 and data.present.tolist() == [0, 1, 2, 3]


def test_a_broken_index_or_one_of_other_data_is_built_anew(streets, monkeypatch):
    uniform(dataset(streets))
    (path,) = (streets / 'ann' / '.centroids').glob('*.npz')
    good = path.read_bytes()
    loads = count_loads(monkeypatch)
    foreign = CentroidIndex(*(np.zeros(3, dtype) for dtype in 'iBii'))
    foreign.write(path, 'key of other data')
    for content in (path.read_bytes(), good[:100], b'', b'text'):
        path.write_bytes(content)
        loads.clear()
        assert uniform(dataset(streets)).present.tolist() == [0, 1, 2, 3, 4]
        assert len(loads) == 60


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr('sfnet_mm.datasets.wrappers.centroid_index.CHUNK', 4)
    folder = write(tmp_path / 'data', [blobs(i, (16, 16), 3) for i in range(12)])
    infos = [dict(seg_map_path=str(folder / 'ann' / f'{i:03d}.png')) for i in range(12)]
    loads = []

    def load(info, last=None):
        loads.append(info['seg_map_path'])
        if info is last:
            raise ValueError('cannot be read')
        return np.asarray(Image.open(info['seg_map_path']))

    with pytest.raises(ValueError, match='cannot be read'):
        CentroidIndex.of(infos, lambda i: load(i, infos[9]), 16, 3, workers=1)
    assert len(loads) == 10
    loads.clear()
    index = CentroidIndex.of(infos, load, 16, 3, workers=1)
    assert loads == [i['seg_map_path'] for i in infos[8:]]
    assert sorted(set(index.mask.tolist())) == list(range(12))


def _load_slowly(info):
    time.sleep(0.1)
    return np.asarray(Image.open(info['seg_map_path']))


def _index(infos, queue=None):
    index = CentroidIndex.of(infos, _load_slowly, 16, 3, workers=1)
    if queue is not None:
        queue.put(len(index))


def test_ranks_wait_for_the_builder_and_take_over_when_it_dies(tmp_path, monkeypatch):
    monkeypatch.setattr('sfnet_mm.datasets.wrappers.centroid_index.CHUNK', 2)
    folder = write(tmp_path / 'data', [blobs(i, (16, 16), 3) for i in range(10)])
    infos = [dict(seg_map_path=str(folder / 'ann' / f'{i:03d}.png')) for i in range(10)]
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    builder = context.Process(target=_index, args=(infos,))
    builder.start()
    while not list(folder.glob('ann/.centroids/*.parts/2.npy')):
        time.sleep(0.01)
        assert builder.is_alive()
    others = [context.Process(target=_index, args=(infos, queue)) for _ in range(2)]
    for process in others:
        process.start()
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    sizes = {queue.get(timeout=20) for _ in others}
    for process in others:
        process.join()
    assert sizes == {sum(len(class_centroids(_load_slowly(i), 16, 3)) for i in infos)}
    left = (path.suffix for path in (folder / 'ann' / '.centroids').iterdir())
    assert set(left) <= {'.npz', '.lock'}


# Errors


def test_errors_name_the_way_out(streets, tmp_path):
    with pytest.raises(ValueError, match='fraction=1.5'):
        uniform(dataset(streets), fraction=1.5)
    with pytest.raises(ValueError, match='has no CropAroundCentroid'):
        uniform(dataset(streets, PIPELINE[:2]))
    with pytest.raises(ValueError, match='has no mask-loading transform'):
        uniform(dataset(streets, PIPELINE[:1]))
    with pytest.raises(TypeError, match='list cannot be sampled'):
        list(leaves_of([]))
    with pytest.raises(ValueError, match='mapped to train ids'):
        uniform(dataset(write(tmp_path / 'x', [np.full((20, 20), 200, np.uint8)])))
    few = write(tmp_path / 'few', [blobs(0, (40, 40), 6)] * 2)
    with pytest.raises(ValueError, match='RepeatDataset'):
        uniform(dataset(few))
    assert np.bincount(centers(uniform(RepeatDataset(dataset(few), 6)), 0)[0]).tolist() == [1] * 6
    with pytest.raises(ValueError, match='no images'):
        CentroidIndex.of([], None, 32, 6)
    with pytest.raises(FileNotFoundError, match='data_root'):
        index_key([str(tmp_path / 'absent.png')], 32, 6, '')


def test_a_class_that_never_occurs_is_named(streets, monkeypatch):
    said = []
    monkeypatch.setattr(leaves, 'print_log', lambda text, *_: said.append(text))
    uniform(dataset(streets))
    assert len(said) == 1 and ' f never occur' in said[0]


@pytest.mark.parametrize('count', [3, 50])
def test_the_classes_are_those_of_the_data_set(tmp_path, count):
    masks = [np.full((20, 20), i % count, np.uint8) for i in range(2 * count)]
    data = dataset(write(tmp_path, masks), classes=tuple(map(str, range(count))))
    assert uniform(data, num_classes=None, fraction=1).present.tolist() == list(range(count))
    data = dataset(tmp_path, classes=None)
    with pytest.raises(ValueError, match='BaseSegDataset names no classes: set num_classes'):
        uniform(data, num_classes=None)


@pytest.mark.parametrize('excluded', [['a', 'd'], [0, 3], ('a', 3)])
def test_classes_left_out_get_no_crops(streets, monkeypatch, excluded):
    said = []
    monkeypatch.setattr(leaves, 'print_log', lambda text, *_: said.append(text))
    data = uniform(dataset(streets), exclude_classes=excluded)
    assert np.bincount(centers(data, 0)[0]).tolist() == [0, 10, 10, 0, 10]
    assert len(said) == 1 and ': f never occur' in said[0]


@pytest.mark.parametrize('wrong', ['z', 6, -1, 1.5])
def test_a_class_to_leave_out_that_does_not_exist_is_named(streets, wrong):
    with pytest.raises(ValueError, match=f'exclude_classes names {wrong!r}, .* a, b, c, d, e, f'):
        uniform(dataset(streets), exclude_classes=[wrong])


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
