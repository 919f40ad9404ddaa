"""What a run leaves on the disk if the disk is full or another run writes there."""

import errno
import os

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner

from sfnet_mm.checkpoints import load_checkpoint_file
from sfnet_mm.engine.runner import DataFirstRunner
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


def test_second_training_in_a_work_dir_is_refused(runner, tmp_path):
    pytest.importorskip('fcntl')
    line = f'another process writes into {tmp_path}: wait for it, or choose'
    with locked_folder(str(tmp_path)), pytest.raises(BlockingIOError, match=line):
        runner.train()
    # The folder is free again, and the run ends because this model cannot be trained.
    with pytest.raises(AssertionError, match='train_step'):
        runner.train()
