"""Hooks that only draw end no run; other hooks do."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample

from sfnet_mm.engine.runner import DataFirstRunner


class Counts(Hook):
    def after_val_iter(self, *args, **kwargs):
        raise ZeroDivisionError('this hook counts')


def runner_of(tmp_path, *hooks):
    return DataFirstRunner(
        model=torch.nn.Module(),
        work_dir=str(tmp_path / 'work'),
        visualizer=dict(type='mmseg.SegLocalVisualizer', name=f'of {tmp_path}'),
        default_hooks=dict(timer=None, logger=None, param_scheduler=None, runtime_info=None),
        custom_hooks=list(hooks),
        cfg=Config(dict(nothing=1)),
        experiment_name=str(tmp_path).replace('/', '_'),
    )


def after_val_iter(runner, path):
    runner.call_hook(
        'after_val_iter',
        batch_idx=0,
        data_batch={},
        outputs=[SegDataSample(metainfo=dict(img_path=str(path)))],
    )


def test_an_image_that_opencv_cannot_read_is_a_warning_of_mmsegs_hook(tmp_path, capsys):
    np.save(tmp_path / 'bands.npy', np.zeros((4, 5, 7)))
    hook = dict(type='mmseg.SegVisualizationHook', draw=True, interval=1)
    runner = runner_of(tmp_path, hook)
    for _ in range(2):
        after_val_iter(runner, tmp_path / 'bands.npy')
    screen = ''.join(capsys.readouterr())
    assert screen.count('SegVisualizationHook cannot draw, and the run goes on') == 1
    # By itself it raises.
    with pytest.raises(Exception, match='empty|NoneType'):
        SegVisualizationHook(draw=True, interval=1).after_val_iter(
            runner, 0, {}, [SegDataSample(metainfo=dict(img_path=str(tmp_path / 'bands.npy')))]
        )


def test_an_error_of_another_hook_ends_the_run(tmp_path):
    with pytest.raises(ZeroDivisionError, match='this hook counts'):
        after_val_iter(runner_of(tmp_path, Counts()), tmp_path / 'x.png')
