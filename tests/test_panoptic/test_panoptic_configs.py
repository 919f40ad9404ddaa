"""Every panoptic config builds, trains a step and predicts; the embedded data run end to end."""

from pathlib import Path

import pytest
import torch
from helpers import config_paths, load_config
from mmdet.registry import DATASETS, MODELS
from mmengine.runner import Runner
from panoptic_helpers import HEIGHT, WIDTH, make_sample

CONFIGS = [Path(p).stem for p in config_paths('panoptic')]
MINI = 'sfnet_knet_stdc1_minicityscapes'


def load(name):
    return load_config(f'configs/panoptic/{name}.py')


def test_zoo_is_complete():
    expected = {
        f'{neck}knet_{backbone}_{data}'
        for neck in ('', 'sfnet_')
        for backbone in ('r50', 'stdc1', 'stdc2')
        for data in ('coco', 'cityscapes')
    }
    assert set(CONFIGS) == expected | {MINI}


@pytest.mark.parametrize('name', CONFIGS)
def test_config_trains_and_predicts(name):
    cfg = load(name)
    things, stuff = (80, 53) if 'coco' in name else (8, 11)
    model = MODELS.build(cfg.model)
    head = model.panoptic_head
    assert (head.num_things_classes, head.num_stuff_classes) == (things, stuff)
    assert type(model.neck).__name__ == ('AlignedFPN' if name.startswith('sfnet') else 'FPN')
    for data_loader in (cfg.train_dataloader, cfg.val_dataloader):
        data = data_loader.dataset.get('dataset', data_loader.dataset)
        assert len(DATASETS.get(data.type).METAINFO['classes']) == things + stuff
    if name.endswith('coco') and 'r50' not in name:
        return  # The network of its Cityscapes sibling.
    seg_map = torch.full((HEIGHT, WIDTH), things + 2)
    samples = [make_sample([(1, (8, 40, 8, 60))], seg_map) for _ in range(2)]
    image = torch.randn(2, 3, HEIGHT, WIDTH)
    model.train()
    sum(model.loss(image, samples).values()).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, f'parameters that the loss does not reach: {without}'
    model.eval()
    with torch.no_grad():
        result = model.predict(image, samples)
    assert result[1].pred_panoptic_seg.sem_seg.shape == (1, HEIGHT, WIDTH)


@pytest.mark.slow
def test_embedded_data_end_to_end(tmp_path, monkeypatch):
    pytest.importorskip(
        'panopticapi', reason='needs panopticapi-lite, see requirements/panoptic.txt'
    )
    monkeypatch.chdir(tmp_path)
    cfg = load(MINI)
    for data_loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        data = data_loader.dataset.get('dataset', data_loader.dataset)
        data.update(train=2, val=2)
    cfg.train_dataloader.dataset.times = 1
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir, cfg.log_level = str(tmp_path / 'work'), 'WARNING'
    cfg.test_cfg.update(type='TestLoop')
    cfg.default_hooks.visualization.update(
        draw=True, interval=1, test_out_dir=str(tmp_path / 'show')
    )
    Runner.from_cfg(cfg).train()
    drawn = {p: p.stat().st_mtime_ns for p in (tmp_path / 'data').rglob('*.png')}

    cfg.load_from = str(tmp_path / 'work/epoch_1.pth')
    cfg.experiment_name = 'test'
    metrics = Runner.from_cfg(cfg).test()
    assert {'coco_panoptic/PQ', 'coco_panoptic/PQ_th', 'coco_panoptic/PQ_st'} <= set(metrics)
    assert len(list((tmp_path / 'show').glob('*.png'))) == 2
    # The second runner found data and annotations whole and wrote nothing.
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / 'data').rglob('*.png')} == drawn
