"""Class-uniform sampling: draws, crops and what happens when something goes wrong."""

import numpy as np
import pytest
from helpers import png_dataset
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmseg.registry import DATASETS
from PIL import Image
from scipy.stats import chisquare
from torch.utils.data import DataLoader
from uniform_streets import CLASSES, PIPELINE, blobs, centers, dataset, uniform, write

from sfnet_mm.datasets import ClassUniformSampler
from sfnet_mm.datasets.wrappers import CentroidIndex, class_centroids, leaves
from sfnet_mm.datasets.wrappers.centroid_index import index_key
from sfnet_mm.datasets.wrappers.leaves import sampled_leaves


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
    inner = png_dataset(streets, pipeline=PIPELINE, metainfo=dict(classes=CLASSES))
    config = dict(type='ClassUniformDataset', dataset=inner, tile=32, num_classes=6, seed=5)
    data = DATASETS.build(dict(config, lazy_init=True))
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


def test_errors_name_the_way_out(streets, tmp_path):
    with pytest.raises(ValueError, match='fraction=1.5'):
        uniform(dataset(streets), fraction=1.5)
    with pytest.raises(ValueError, match='has no CropAroundCentroid'):
        uniform(dataset(streets, PIPELINE[:2]))
    with pytest.raises(ValueError, match='has no mask-loading transform'):
        uniform(dataset(streets, PIPELINE[:1]))
    with pytest.raises(TypeError, match='list cannot be sampled'):
        list(sampled_leaves([]))
    # Its repetitions would be ignored.
    with pytest.raises(TypeError, match='ClassBalancedDataset cannot be sampled'):
        balanced = ClassBalancedDataset(dataset(streets), 0.1, lazy_init=True)
        list(sampled_leaves(balanced))
    with pytest.raises(ValueError, match='mapped to train ids'):
        uniform(dataset(write(tmp_path / 'x', [np.full((20, 20), 200, np.uint8)])))
    few = write(tmp_path / 'few', [blobs(0, (40, 40), 6)] * 2)
    with pytest.raises(ValueError, match='RepeatDataset'):
        uniform(dataset(few))
    assert np.bincount(centers(uniform(RepeatDataset(dataset(few), 6)), 0)[0]).tolist() == [1] * 6
    with pytest.raises(ValueError, match='no images'):
        CentroidIndex.read_or_build([], None, 32, 6)
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
