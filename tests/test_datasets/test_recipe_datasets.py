"""The data sets that only some tables use, and the pipelines of their configs."""

import numpy as np
import pytest
from helpers import load_config
from mmcv import imwrite
from mmengine.dataset import Compose
from mmseg.datasets import MapillaryDataset_v1
from mmseg.registry import DATASETS

from sfnet_mm.datasets import (
    CityscapesCoarseDataset,
    ClassUniformSampler,
    MapillaryVistasDataset,
    ResetOriginalShape,
)

LOAD = [dict(type='LoadImageWhole'), dict(type='LoadMappedAnnotations')]


def vistas(root, shape, split='validation'):
    rng = np.random.default_rng(0)
    mask = np.arange(66, dtype=np.uint8)[rng.integers(0, 66, shape)]
    mask.flat[:66] = range(66)
    imwrite(mask, root / split / 'labels' / 'a.png')
    imwrite(rng.integers(0, 255, (*shape, 3), np.uint8), root / split / 'images' / 'a.jpg')
    return mask


def test_vistas_keeps_its_65_classes_and_ignores_unlabeled(tmp_path):
    mask = vistas(tmp_path, (20, 30))
    data = MapillaryVistasDataset(tmp_path, 'val', LOAD)
    assert len(data.metainfo['classes']) == len(data.metainfo['palette']) == 65
    assert data.metainfo['classes'] == MapillaryDataset_v1.METAINFO['classes'][:65]
    label = data[0]['gt_seg_map']
    assert (label[mask < 65] == mask[mask < 65]).all() and (label[mask == 65] == 255).all()


@pytest.mark.parametrize('shape', [(60, 90), (90, 60), (80, 80)])
def test_vistas_is_scored_on_the_center_of_the_short_side(tmp_path, shape):
    mask = vistas(tmp_path, shape)
    pipeline = load_config('configs/sfnet_r18_mapillary.py').val_dataloader.dataset.pipeline
    small = [dict(t) for t in pipeline]
    for step in small:
        if step['type'] == 'Resize':
            assert step['scale'][1] == 1536
            step['scale'] = (100000, 48)
        if step['type'] == 'CenterCrop':
            assert step['crop_size'] == (1536, 1536)
            step['crop_size'] = (48, 48)
    sample = MapillaryVistasDataset(tmp_path, 'val', small)[0]
    assert sample['inputs'].shape == (3, 48, 48)
    assert sample['data_samples'].ori_shape == (48, 48)
    label = sample['data_samples'].gt_sem_seg.data[0].numpy()
    # The pixel in the middle of the crop is the one in the middle of the image.
    scale = min(shape) / 48
    rows = ((np.arange(48) - 23.5) * scale + shape[0] / 2 - 0.5).round(6)
    columns = ((np.arange(48) - 23.5) * scale + shape[1] / 2 - 0.5).round(6)
    nearby = [
        mask[np.clip(np.floor(rows + dy).astype(int), 0, shape[0] - 1)][
            :, np.clip(np.floor(columns + dx).astype(int), 0, shape[1] - 1)
        ]
        for dy in (-1, 0, 1, 2)
        for dx in (-1, 0, 1, 2)
    ]
    nearby = np.where(np.stack(nearby) == 65, 255, nearby)
    assert (nearby == label).any(0).all()


def test_a_label_of_another_size_cannot_be_scored():
    results = dict(img=np.zeros((4, 5, 3)), gt_seg_map=np.zeros((8, 10)))
    with pytest.raises(ValueError, match='load the label before'):
        ResetOriginalShape()(results)


def test_coarse_labels_are_read_as_distributed(tmp_path):
    mask = np.array([[0, 7, 27], [31, 33, 4]], np.uint8)
    name = 'augsburg/augsburg_000000_000000'
    imwrite(mask, tmp_path / 'gtCoarse/train_extra' / f'{name}_gtCoarse_labelIds.png')
    image = tmp_path / 'leftImg8bit/train_extra' / f'{name}_leftImg8bit.png'
    imwrite(np.zeros((2, 3, 3), np.uint8), image)
    data = CityscapesCoarseDataset(tmp_path, 'train_extra', LOAD)
    assert data[0]['gt_seg_map'].tolist() == [[255, 0, 14], [16, 18, 255]]
    with pytest.raises(ValueError, match="split='test' is not one of"):
        CityscapesCoarseDataset(tmp_path, 'test', LOAD)


def cityscapes(root, images=24):
    """Small pictures with some classes each, in the layout of Cityscapes, fine and coarse."""
    rng = np.random.default_rng(1)
    ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    for split, labels in (('train', 'gtFine'), ('train_extra', 'gtCoarse')):
        for i in range(images):
            classes = np.append(ids[[0, 10]], ids[i % 19])
            mask = classes[rng.integers(0, 3, (8, 16))].astype(np.uint8).repeat(4, 0).repeat(4, 1)
            name = f'city/city_{i:06d}_000000'
            imwrite(mask, root / labels / split / f'{name}_{labels}_labelIds.png')
            image = rng.integers(0, 255, (32, 64, 3)).astype(np.uint8)
            imwrite(image, root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png')


def shrink(pipeline):
    """The steps of a training pipeline for pictures of a thirty-second of the usual size."""
    for step in pipeline:
        if 'crop_size' in step:
            step['crop_size'] = (32, 32)


@pytest.mark.parametrize(
    'config, coarse',
    [
        ('configs/sfnet_lite_r18_cityscapes.py', False),
        ('configs/authors/sfnet_lite_r18_authors_1000e_cityscapes.py', False),
        ('configs/authors/sfnet_lite_r18_authors_1000e_coarse_cityscapes.py', True),
    ],
)
def test_recipes_with_class_uniform_sampling_give_batches(tmp_path, config, coarse):
    cityscapes(tmp_path / 'cityscapes')
    loader = load_config(config).train_dataloader
    dataset = loader.dataset
    assert dataset.fraction == 0.5 and dataset.type == 'ClassUniformDataset'
    assert ('coarse' in dataset) == coarse
    inner = dataset.dataset
    root = 'cityscapes' if inner.data_root.endswith('cityscapes') else ''
    inner.data_root = str(tmp_path / root)
    shrink(inner.pipeline)
    if coarse:
        dataset.coarse.data_root = str(tmp_path / 'cityscapes')
    dataset = dict(dataset.to_dict(), workers=1, seed=0)
    dataset['dataset'] = dict(type='RepeatDataset', dataset=inner.to_dict(), times=2)
    data = DATASETS.build(dataset)
    infos = [data.get_data_info((0, i)) for i in range(len(data))]
    drawn = [i['centroid_class'] for i in infos if 'centroid' in i]
    assert np.bincount(drawn).tolist() == [1] * 19
    assert any('gtCoarse' in i['seg_map_path'] for i in infos) == coarse
    for index in list(ClassUniformSampler(data, seed=0))[:6]:
        sample = data[index]
        assert max(sample['inputs'].shape[1:]) == 32
        labels = np.unique(sample['data_samples'].gt_sem_seg.data)
        assert set(labels) <= {*range(19), 255}


def test_training_pipelines_can_be_composed():
    for name in ('bdd', 'idd', 'mapillary', 'mapillary19', 'camvid', 'cityscapes'):
        cfg = load_config(f'configs/sfnet_r18_{name}.py')
        for dataset in (cfg.train_dataloader.dataset.dataset, cfg.val_dataloader.dataset):
            assert len(Compose(dataset.pipeline).transforms) >= 3
