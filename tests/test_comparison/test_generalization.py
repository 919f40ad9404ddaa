"""The table of sources by targets comes from ``compare.py``."""

import torch
from helpers import ROOT, config_paths, load_tool, segmentation_samples
from mmseg.registry import METRICS

from sfnet_mm.comparison.settings import prepare

CONFIGS = [p for p in config_paths('robustnet') if 'miniuds' in p]


def test_prepared_runs_keep_the_whitening_hook_and_the_sources(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    compare = load_tool('analysis_tools/compare')
    args = compare.parse_args(CONFIGS)
    compare.check(args)
    for path in CONFIGS:
        cfg = prepare(path, *compare.settings(args), 0, str(tmp_path))
        assert ('isw' in cfg.default_hooks) == ('isw_' in path)
        assert [k for k, v in cfg.train_dataloader.dataset.sources.items() if v] == ['cityscapes']
        assert len(cfg.val_dataloader.dataset.sources) == 4
        assert cfg.val_evaluator.type == 'UDSMetric'


def test_metric_of_a_run_has_classes_and_sources():
    metric = METRICS.build(dict(type='UDSMetric', iou_metrics=['mIoU']))
    metric.dataset_meta = dict(classes=('a', 'b'))
    for source, right in (('cityscapes', True), ('idd', False)):
        (sample,) = segmentation_samples(1, 4, 4, 2)
        label = torch.tensor([[0, 0, 1, 1]] * 4)[None]
        sample.gt_sem_seg.data = label
        sample.set_data(dict(pred_sem_seg=type(sample.gt_sem_seg)(data=label)))
        if not right:
            sample.pred_sem_seg.data = 1 - label
        sample.set_metainfo(dict(source=source))
        metric.process({}, [dict(sample.to_dict(), source=source)])
    values = metric.compute_metrics(metric.results)
    assert values['mIoU/cityscapes'] == 100
    assert values['mIoU/idd'] == 0
    # 8 of 16 pixels of each class are right, 24 are in the union.
    assert metric.per_class['IoU'] == {'a': 33.33, 'b': 33.33}
