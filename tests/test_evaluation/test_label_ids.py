"""Results for the server of a data set whose labels its owners keep."""

import os.path as osp

import numpy as np
import pytest
import torch
from helpers import ROOT, build_segmentor, load_config, run_tool
from mmcv import imwrite
from mmengine.config import Config
from mmseg.registry import METRICS
from PIL import Image

from sfnet_mm.datasets.label_maps import CITYSCAPES_IDS, DRIVING_CLASSES
from sfnet_mm.deploy import load_runtime
from sfnet_mm.evaluation import BoundaryIoUMetric, UDSMetric
from sfnet_mm.utils.file_names import NameCollision

SERVER_IDS = [CITYSCAPES_IDS[name] for name in DRIVING_CLASSES]
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
        assert ids[y, x] == SERVER_IDS[category]
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
    # In 8 bits, the id 255 of the last class would be the ignored label.
    last = written(tmp_path, [[0, 254]], names[:255], reduce_zero_label=True)
    assert last.dtype == np.uint16 and last.tolist() == [[1, 255]]
    assert written(tmp_path, [[0, 254]], names[:255]).dtype == np.uint8


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
    metric = METRICS.build(dict(cfg.test_evaluator, format_only=True, output_dir=str(tmp_path)))
    metric.dataset_meta = dict(classes=DRIVING_CLASSES)
    metric.process({}, [sample([[13]], source='cityscapes')])
    assert np.asarray(Image.open(tmp_path / f'{NAME}.png')).tolist() == [[26]]


def test_folder_for_the_server_of_cityscapes(tmp_path):
    """``tools/test.py`` on the layout of the real set: its images, labels that say nothing."""
    root, out = tmp_path / 'cityscapes', tmp_path / 'server'
    rng = np.random.default_rng(0)
    sizes = {'berlin_000000_000019': (64, 128), 'bonn_000012_000019': (96, 160)}
    for split in ('train', 'val', 'test'):
        for name, size in sizes.items():
            for kind, suffix in (('leftImg8bit', 'leftImg8bit'), ('gtFine', 'gtFine_labelIds')):
                folder = root / kind / split / name.split('_')[0]
                shape = (*size, 3) if kind == 'leftImg8bit' else size
                picture = rng.integers(0, 256, shape, np.uint8) * (kind == 'leftImg8bit')
                imwrite(picture, folder / f'{name}_{suffix}.png')
    config = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_trainval_cityscapes.py')
    cfg = Config.fromfile(config)
    cfg.model.backbone.update(channels=(8, 8, 16, 24, 32), init_cfg=None)
    cfg.model.decode_head.update(channels=8, in_channels=[8, 24, 32])
    cfg.model.auxiliary_head = None
    for data in (
        cfg.train_dataloader.dataset.dataset,
        cfg.val_dataloader.dataset,
        cfg.test_dataloader.dataset,
    ):
        data.data_root = str(tmp_path)
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_evaluator.output_dir = str(out)
    cfg.dump(str(tmp_path / 'config.py'))
    model = build_segmentor(load_config(str(tmp_path / 'config.py')))
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    run_tool(
        'test', tmp_path / 'config.py', tmp_path / 'model.pth', '--work-dir', tmp_path / 'work'
    )
    assert sorted(p.name for p in out.iterdir()) == [f'{name}_leftImg8bit.png' for name in sizes]
    runtime = load_runtime('torch', str(tmp_path / 'config.py'), str(tmp_path / 'model.pth'))
    found = set()
    for name, size in sizes.items():
        mask = Image.open(out / f'{name}_leftImg8bit.png')
        assert mask.size == size[::-1] and mask.mode == 'L'
        found |= set(np.unique(np.asarray(mask)).tolist())
        image = str(root / 'leftImg8bit' / 'test' / name.split('_')[0] / f'{name}_leftImg8bit.png')
        classes = runtime.predict(np.asarray(Image.open(image))[..., ::-1])
        assert np.array_equal(np.asarray(mask), np.array(SERVER_IDS)[classes])
    assert len(found) > 3 and found <= set(SERVER_IDS)
