import random

import cv2
import numpy as np
import pytest
import torch
from mmcv import imwrite
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset

from sfnet_mm.robustnet import PhotometricPairs


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def dataset(tmp_path, image):
    for folder in ('a', 'b'):
        for i in range(3):
            imwrite(np.roll(image, i, axis=0), tmp_path / folder / f'{i}.jpg')
    parts = [
        BaseSegDataset(
            data_root=str(tmp_path),
            data_prefix=dict(img_path=folder),
            metainfo=dict(classes=('x',), palette=[[0, 0, 0]]),
        )
        for folder in ('a', 'b')
    ]
    return ConcatDataset(parts)


def test_pairs_are_each_image_once_and_its_distorted_copy(dataset):
    pairs = PhotometricPairs(dataset)
    assert len(pairs) == 6
    paths = [part.get_data_info(i)['img_path'] for part in pairs.sources for i in range(3)]
    assert len(set(paths)) == 6
    for index, path in enumerate(paths):
        pair = pairs[index]
        assert pair.shape == (2, 3, 24, 32)
        assert pair.dtype == torch.uint8
        assert np.array_equal(pair[0].numpy().transpose(1, 2, 0), cv2.imread(path))
        assert not torch.equal(pair[0], pair[1])


def test_repetition_does_not_repeat_images(dataset):
    assert len(PhotometricPairs(RepeatDataset(dataset.datasets[0], 4))) == 3


def test_the_copy_differs_in_style_and_not_in_place(dataset):
    """Colors change as a whole, the edges stay where they are: the ranks of a step edge."""
    pairs = PhotometricPairs(dataset)
    shifts = [pairs[i].float().mean(dim=(2, 3)).diff(dim=0).abs().max().item() for i in range(6)]
    assert max(shifts) > 20  # of 255: far beyond what flips, crops or noise would give
    still = dict(type='RandomColorJitter', brightness=0.3, contrast=0, saturation=0, hue=0)
    for index in range(6):
        original, distorted = PhotometricPairs(dataset, distortion=[still])[index].float()
        correlation = np.corrcoef(original.numpy().ravel(), distorted.numpy().ravel())[0, 1]
        assert correlation > 0.95


def test_draws_depend_on_seed_trial_and_index_alone(dataset):
    pairs = PhotometricPairs(dataset, seed=3)
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    first = pairs[2]
    assert (random.random(), np.random.rand()) == expected, 'the random state of training moved'
    assert torch.equal(first, PhotometricPairs(dataset, seed=3)[2])
    assert not torch.equal(first, PhotometricPairs(dataset, seed=4)[2])
    order = pairs.order(4)
    assert len(set(order)) == 4
    pairs.trial = 1
    assert not torch.equal(first, pairs[2])
    assert pairs.order(6) != order
    assert sorted(pairs.order(100)) == list(range(6))


def test_a_dataset_that_cannot_name_its_images():
    data = torch.utils.data.TensorDataset(torch.zeros(3))
    with pytest.raises(ValueError, match='TensorDataset has no get_data_info'):
        PhotometricPairs(data)
