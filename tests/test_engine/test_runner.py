"""What a run refuses, and what it leaves on the disk if that is full."""

import errno
import logging
import os
import warnings
from types import SimpleNamespace

import pytest
import torch
from helpers import load_config
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from sfnet_mm.checkpoints import load_checkpoint_file
from sfnet_mm.engine.data_check import check_classes, check_labels, read_data_set
from sfnet_mm.engine.hooks.label_check_hook import LabelCheckHook
from sfnet_mm.engine.runner import DataFirstRunner, DataFirstTestRunner
from sfnet_mm.utils.tooling import locked_folder


@pytest.fixture
def runner(tmp_path, monkeypatch, request):
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)
    return DataFirstRunner(
        torch.nn.Linear(1, 1),
        str(tmp_path),
        train_dataloader=torch.utils.data.DataLoader([1]),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name=request.node.name,
    )


def test_checkpoint_is_whole_or_as_it_was_before(runner, tmp_path, monkeypatch):
    def put_a_part(self, data, path):
        with open(path, 'wb') as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / 'iter_1.pth'
    runner.save_checkpoint(
        str(tmp_path), path.name, save_optimizer=False, save_param_scheduler=False
    )
    before = path.read_bytes()
    monkeypatch.setattr(LocalBackend, 'put', put_a_part)
    with pytest.raises(OSError, match=r'iter_1\.pth cannot be written: No space left on device$'):
        runner.save_checkpoint(
            str(tmp_path), path.name, save_optimizer=False, save_param_scheduler=False
        )
    assert path.read_bytes() == before and load_checkpoint_file(str(path))
    assert [p.name for p in tmp_path.glob('*pth*')] == ['iter_1.pth']


def test_weights_of_which_nothing_fits_are_refused(runner, tmp_path):
    path = str(tmp_path / 'weights.pth')
    for state in ({'head.weight': torch.ones(1, 1)}, {'weight': torch.ones(1, 2)}):
        torch.save({'state_dict': state}, path)
        with pytest.raises(ValueError, match=r'weights\.pth has no tensor of the model'):
            runner.load_checkpoint(path)
    torch.save({'state_dict': {'module.bias': torch.tensor([3.0])}}, path)
    runner.load_checkpoint(path)
    assert runner.model.bias.item() == 3


@pytest.mark.parametrize('test_cfg', [None, dict()])
def test_images_are_tested_whole_if_test_cfg_has_no_mode(runner, test_cfg):
    model = load_config('configs/sfnet_df1_cityscapes.py').model
    model.test_cfg = test_cfg
    with DefaultScope.overwrite_default_scope('mmseg'):
        assert runner.build_model(MODELS.build(model)).test_cfg.mode == 'whole'


def test_second_training_in_a_work_dir_is_refused(runner, tmp_path):
    pytest.importorskip('fcntl')
    line = f'another process writes into {tmp_path}: wait for it, or choose'
    with locked_folder(str(tmp_path)), pytest.raises(BlockingIOError, match=line):
        runner.train()
    # The folder is free again, and the run ends because this model cannot be trained.
    with pytest.raises(AssertionError, match='train_step'):
        runner.train()


@pytest.mark.parametrize(
    'change, line',
    [
        (
            lambda c: c['state_dict'].update(weight=torch.ones(2, 1)),
            '1 tensors are of another shape',
        ),
        (lambda c: c['state_dict'].update(bias=torch.tensor([torch.nan])), 'NaN'),
        (lambda c: c.pop('meta'), 'no state of a run to resume: start from its weights by'),
    ],
)
def test_only_the_whole_state_of_a_run_is_resumed(change, line, runner, tmp_path):
    path = str(tmp_path / 'iter_1.pth')
    checkpoint = dict(state_dict=runner.model.state_dict(), meta=dict(epoch=1, iter=1))
    change(checkpoint)
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=rf'iter_1\.pth .*{line}'):
        runner.resume(path)


def test_loader_without_processes_or_without_a_batch(runner):
    loader = dict(
        dataset=dict(type=lambda: [1, 2]),
        sampler=dict(type='DefaultSampler'),
        batch_size=2,
        drop_last=True,
        num_workers=0,
        persistent_workers=True,
        prefetch_factor=2,
    )
    assert len(runner.build_dataloader(loader)) == 1 and 'prefetch_factor' in loader
    with pytest.raises(ValueError, match='2 images give no batch of batch_size=3'):
        runner.build_dataloader(dict(loader, batch_size=3))
    infinite = dict(loader, batch_size=3, sampler=dict(type='InfiniteSampler'))
    assert len(next(iter(runner.build_dataloader(infinite)))) == 3


def unlabeled(folder, **prefix):
    """A data set of an image and three classes whose pipeline loads no label."""
    (folder / 'a.png').touch()
    return dict(
        type='mmseg.BaseSegDataset',
        img_suffix='.png',
        data_prefix=dict(img_path=str(folder), **prefix),
        metainfo=dict(classes=('a', 'b', 'c')),
        pipeline=[dict(type='mmseg.PackSegInputs')],
    )


def test_number_of_classes_and_labels_that_a_metric_needs(tmp_path):
    dataset = unlabeled(tmp_path, seg_map_path=str(tmp_path))
    dataset = read_data_set(dict(type='ConcatDataset', datasets=[dataset]), 'val')
    with pytest.raises(ValueError, match='has 3 classes, but the decode head has num_classes=2'):
        check_classes(SimpleNamespace(num_classes=2, out_channels=2), dataset, 'val')
    check_classes(SimpleNamespace(num_classes=3), dataset, 'val')
    check_classes(SimpleNamespace(num_classes=1, out_channels=1), dataset, 'val')
    metric = dict(type='IoUMetric')
    with pytest.raises(ValueError, match='^val_dataloader: IoUMetric needs labels, but'):
        check_labels(dataset, [metric], 'val')
    check_labels(dataset, dict(metric, format_only=True), 'val')


@pytest.mark.parametrize(
    'number, format_only, line', [(2, True, 'has 3 classes, but'), (3, False, 'IoUMetric needs')]
)
def test_run_is_refused_before_it_begins(number, format_only, line, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)
    model = torch.nn.Linear(1, 1)
    model.num_classes = number
    with pytest.raises(ValueError, match=f'^test_dataloader: .*{line}'):
        DataFirstTestRunner(
            model,
            str(tmp_path / 'work'),
            test_dataloader=dict(dataset=unlabeled(tmp_path)),
            test_cfg=dict(),
            test_evaluator=dict(type='IoUMetric', format_only=format_only),
        )


def test_labels_of_each_run_are_checked(runner):
    assert any(isinstance(hook, LabelCheckHook) for hook in runner.hooks)


@pytest.mark.parametrize(
    'ids, line', [([0, 255], 'not 0 and 255'), ([0, 3], 'holds 3, but'), ([0, 2, 255], '')]
)
def test_labels_that_a_metric_would_leave_out(ids, line):
    dataset = SimpleNamespace(metainfo=dict(classes=('a', 'b', 'c')))
    loop = SimpleNamespace(
        dataloader=SimpleNamespace(dataset=dataset), evaluator=SimpleNamespace(metrics=[])
    )
    warnings = []
    logger = SimpleNamespace(warning=warnings.append)
    runner, hook = SimpleNamespace(test_loop=loop, logger=logger), LabelCheckHook()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([ids], dtype=torch.uint8)[None]))
    if 3 in ids:
        with pytest.raises(ValueError, match=line):
            hook.after_test_iter(runner, 0, None, [sample])
        return
    hook.after_test_iter(runner, 0, None, [sample])
    hook.after_test_epoch(runner)
    assert len(warnings) == bool(line) and line in ''.join(warnings)


def run_of(tmp_path, dataset, **settings):
    """A runner of the tools with a model of nothing and a data set."""
    loader = dict(batch_size=1, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler'))
    return DataFirstRunner(
        model=torch.nn.Identity(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        cfg=Config(dict(secret_of_the_config=1)),
        experiment_name=settings.pop('name'),
        **settings,
    )


class Numbers(torch.utils.data.Dataset):
    built = 0

    def __init__(self):
        type(self).built += 1
        self.lock = open(os.devnull)  # noqa: SIM115  cannot be copied

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index


def test_data_is_read_once_and_the_screen_stays_free(tmp_path, capsys):
    runner = run_of(tmp_path, dict(type=Numbers), name='numbers')
    loader = runner.train_dataloader
    assert isinstance(loader.dataset, Numbers) and Numbers.built == 1
    runner.logger.info('training goes on')
    screen = ''.join(capsys.readouterr())
    assert 'Hooks will be executed' not in screen
    (log,) = tmp_path.rglob('*.log')
    text = log.read_text()
    assert 'Hooks will be executed' in text and 'training goes on' in text
    levels = [h.level for h in runner.logger.handlers if not isinstance(h, logging.FileHandler)]
    assert levels == [logging.INFO]


def test_known_warnings_are_left_out_and_others_are_not(tmp_path, capsys):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        runner = run_of(tmp_path, dict(type=Numbers), name='warnings')
        for text in ('Unnecessary conv bias before batch/instance norm', 'the loss is NaN'):
            warnings.warn(text, stacklevel=1)
    for text in ('The prefix is not set in metric class IoUMetric.', 'a disk is full'):
        runner.logger.warning(text)
    assert [str(w.message) for w in shown if 'mm' not in w.filename] == ['the loss is NaN']
    screen = ''.join(capsys.readouterr())
    assert 'a disk is full' in screen and 'prefix is not set' not in screen
