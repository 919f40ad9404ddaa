"""Images are resized by a multiple of their own size, and UDS is scored at 1024x2048."""

import numpy as np
import pytest
from helpers import load_config
from mmengine.dataset import Compose
from PIL import Image

from sfnet_mm.datasets import RandomRescale


@pytest.mark.parametrize('size', [(720, 1280), (1024, 2048), (2448, 3264), (90, 31)])
def test_factors_are_of_the_own_size_of_each_image(size):
    np.random.seed(1)
    transform = RandomRescale((0.75, 2.0))
    image, label = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    drawn = []
    for _ in range(8):
        results = transform(dict(img=image, gt_seg_map=label, ori_shape=size))
        height, width = results['img'].shape[:2]
        assert results['gt_seg_map'].shape == (height, width) == results['img_shape']
        # One factor for both sides, to the pixel.
        factor = height / size[0]
        assert abs(width - factor * size[1]) <= size[1] / size[0] * 0.5 + 0.5
        assert results['scale_factor'] == pytest.approx((width / size[1], height / size[0]))
        drawn.append(factor)
    slack = 0.5 / min(size)
    assert 0.75 - slack <= min(drawn) < 1 < max(drawn) <= 2 + slack


def test_the_range_is_checked():
    for wrong in ((2.0, 0.5), (0, 1), (1.0,)):
        with pytest.raises(ValueError, match='ratio_range'):
            RandomRescale(wrong)
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert (RandomRescale((1, 1))(dict(img=image))['img'] == image).all()


@pytest.mark.parametrize(
    'name, low',
    [('sfnet_lite_stdc1_bdd', 0.75), ('authors/sfnet_lite_stdc2_authors_350e_bdd', 0.5)],
)
def test_configs_rescale_relative_to_the_image(name, low):
    steps = load_config(f'configs/{name}.py').train_dataloader.dataset.dataset.pipeline
    (step,) = (s for s in steps if 'Res' in s.type)
    assert (step.type, tuple(step.ratio_range)) == ('RandomRescale', (low, 2.0))


def pack(tmp_path, pipeline, with_label=True):
    """A sample of an image of 720x1280 whose left half is class 1, and the rest 0."""
    Image.fromarray(np.zeros((720, 1280, 3), np.uint8)).save(tmp_path / 'a.png')
    mask = np.zeros((720, 1280), np.uint8)
    mask[:, :640] = 1
    Image.fromarray(mask).save(tmp_path / 'm.png')
    info = dict(img_path=str(tmp_path / 'a.png'), seg_fields=[], reduce_zero_label=False)
    if with_label:
        info.update(seg_map_path=str(tmp_path / 'm.png'), label_table='bdd', label_map=None)
    return Compose(pipeline)(dict(info, source='bdd'))


def test_uds_is_scored_at_1024x2048_and_photos_at_their_own_size(tmp_path):
    pipeline = load_config('configs/sfnet_lite_stdc1_uds.py').test_dataloader.dataset.pipeline
    sample = pack(tmp_path, pipeline)
    label = sample['data_samples'].gt_sem_seg.data[0].numpy()
    assert sample['inputs'].shape[1:] == label.shape == (1024, 2048)
    assert sample['data_samples'].ori_shape == (1024, 2048)
    assert (label[:, :1023] == 1).all() and (label[:, 1025:] == 0).all()
    alone = pack(tmp_path, pipeline, with_label=False)
    assert alone['inputs'].shape[1:] == (1024, 2048)
    assert alone['data_samples'].ori_shape == (720, 1280)


def test_scoring_at_the_own_size_is_one_base_away(tmp_path):
    pipeline = load_config('configs/_base_/datasets/uds_own_size.py').test_pipeline
    sample = pack(tmp_path, pipeline)
    assert sample['inputs'].shape[1:] == sample['data_samples'].ori_shape == (720, 1280)
