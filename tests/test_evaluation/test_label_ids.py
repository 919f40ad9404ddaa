"""Results for the server of a data set whose labels its owners keep."""

import numpy as np
import pytest
import torch
from helpers import load_config
from mmengine.registry import DefaultScope
from mmseg.registry import METRICS
from PIL import Image

from sfnet_mm.datasets.label_maps import CITYSCAPES_IDS, DRIVING_CLASSES
from sfnet_mm.evaluation import BoundaryIoUMetric, UDSMetric
from sfnet_mm.utils.file_names import NameCollision

NAME = 'berlin_000000_000019_leftImg8bit'


def sample(pred, **extra):
    data = torch.as_tensor(pred)[None]
    return dict(pred_sem_seg=dict(data=data), img_path=f'test/berlin/{NAME}.png', **extra)


def written(folder, pred, classes=DRIVING_CLASSES, **extra):
    metric = UDSMetric(format_only=True, output_dir=str(folder))
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, [sample(pred, **extra)])
    assert metric.evaluate(1) == {}
    return np.asarray(Image.open(folder / f'{NAME}.png'))


def test_cityscapes_gets_label_ids(tmp_path):
    pred = np.random.default_rng(0).integers(0, 19, (6, 9))
    ids = written(tmp_path, pred, source='cityscapes')
    assert ids.dtype == np.uint8
    for (y, x), category in np.ndenumerate(pred):
        assert ids[y, x] == CITYSCAPES_IDS[DRIVING_CLASSES[category]]
    chosen = written(tmp_path, [[0, 1]], ('car', 'road'), source='cityscapes')
    assert chosen.tolist() == [[26, 7]]


@pytest.mark.parametrize(
    'extra, expected',
    [
        (dict(source='mapillary'), [0, 18]),
        (dict(), [0, 18]),
        (dict(reduce_zero_label=True), [1, 19]),
        (dict(source='bdd'), [0, 18]),
    ],
)
def test_other_data_sets_get_class_indices(tmp_path, extra, expected):
    assert written(tmp_path, [[0, 18]], **extra).tolist() == [expected]


@pytest.mark.parametrize('kind', [BoundaryIoUMetric, UDSMetric])
def test_images_of_one_name_are_refused_before_one_replaces_the_other(tmp_path, kind):
    metrics = [kind(format_only=True, output_dir=str(tmp_path)) for _ in range(2)]
    frames = [dict(sample([[0]]), img_path=f'{drive}/frame0029.png') for drive in (119, 120)]
    for metric, frame in zip(metrics, frames):
        metric.dataset_meta = dict(classes=DRIVING_CLASSES)
        metric.process({}, [frame, frame])
    refused = '119/frame0029.png and 120/frame0029.png would both be written as frame0029'
    with pytest.raises(NameCollision, match=refused):
        metrics[0].process({}, [frames[1]])
    # Two processes, each with one of the images.
    with pytest.raises(NameCollision, match=refused):
        metrics[0].compute_metrics(metrics[0].results + metrics[1].results)


def test_masks_of_more_than_255_classes_have_16_bits(tmp_path):
    names = [str(i) for i in range(300)]
    assert written(tmp_path, [[0, 299]], names).tolist() == [[0, 299]]
    assert written(tmp_path, [[0, 299]], names, reduce_zero_label=True).tolist() == [[1, 300]]


def test_what_is_missing_is_said_in_one_line():
    with pytest.raises(ValueError, match='format_only=True needs output_dir[^\n]*$'):
        UDSMetric(format_only=True)
    metric = UDSMetric()
    metric.dataset_meta = dict(classes=DRIVING_CLASSES)
    with pytest.raises(ValueError, match=f'{NAME}.png has no label.*format_only=True[^\n]*$'):
        metric.process({}, [sample([[0]], source='cityscapes')])


def test_the_config_of_cityscapes_writes_them(tmp_path):
    cfg = load_config('configs/sfnet_lite_stdc1_cityscapes.py')
    keys = cfg.test_dataloader.dataset.pipeline[-1].meta_keys
    assert 'source' in keys
    with DefaultScope.overwrite_default_scope('mmseg'):
        metric = METRICS.build(dict(cfg.test_evaluator, format_only=True, output_dir=str(tmp_path)))
    metric.dataset_meta = dict(classes=DRIVING_CLASSES)
    metric.process({}, [sample([[13]], source='cityscapes')])
    assert np.asarray(Image.open(tmp_path / f'{NAME}.png')).tolist() == [[26]]
