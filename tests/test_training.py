"""Training that is spread over processes, or killed and resumed, gives what one run gives."""

import os
import os.path as osp
import signal
import subprocess
import sys

import pytest
import torch
from helpers import ROOT, run_tool

from sfnet_mm.compat import host_family, load_checkpoint_file

pytestmark = pytest.mark.slow
CONFIG = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
TRAIN = osp.join(ROOT, 'tools', 'train.py')
# A hook that keeps the loss of every iteration, averaged over the processes.
RECORDER = """
import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class LossRecorder(Hook):
    def __init__(self, path):
        self.path, self.losses = path, []
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        loss = outputs['loss'].detach().clone()
        all_reduce(loss, op='mean')
        self.losses.append(loss.item())
        if is_main_process():
            torch.save(self.losses, self.path)
"""


# A hook that kills the process in the third iteration, after the checkpoint of the second.
KILLER = """
import os
import signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class KillingHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def write_config(folder, name, batch_size, iters, extra=''):
    """A child of the mini-UDS config on a few images; returns its path."""
    path = folder / f'{name}.py'
    path.write_text(f"""
_base_ = ['{CONFIG}']
data = dict(data_root='{folder}/data', train=4, val=1)
train_dataloader = dict(batch_size={batch_size}, dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
model = dict(
    backbone=dict(channels=(8, 8, 16, 24, 32)),
    decode_head=dict(in_channels=[8, 24, 32], channels=16))
param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=0.01))
train_cfg = dict(max_iters={iters}, val_interval=1000)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=-1, save_best=None))
{extra}
""")
    return str(path)


def run(folder, *command):
    """The ended process of a command of Python on one thread, which finds modules in the folder."""
    paths = os.pathsep.join([str(folder), ROOT, os.environ.get('PYTHONPATH', '')])
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=dict(os.environ, PYTHONPATH=paths, PYTHONWARNINGS='ignore', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_lose_what_one_does(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    # Nothing random in the data or the network, so that only the way of computing differs.
    same = """
custom_imports = dict(imports=['sfnet_mm', 'loss_recorder'])
custom_hooks = [dict(type='LossRecorder', path='{path}')]
pipeline = [dict(type='LoadImageWhole'), dict(type='LoadMappedAnnotations'),
            dict(type='Resize', scale=(128, 64)), dict(type='PackSegInputs')]
train_dataloader['dataset'] = dict(data, pipeline=pipeline)
model = dict(
    data_preprocessor=dict(size=(64, 128)),
    decode_head=dict(context=dict(type='PyramidContext', dropout_ratio=0),
                     loss_decode=dict(_delete_=True, type='CrossEntropyLoss')))
"""
    (tmp_path / 'loss_recorder.py').write_text(RECORDER)
    losses = {}
    for name, batch_size, launcher in (
        ('one', 4, []),
        ('two', 2, ['-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=29533']),
    ):
        config = write_config(
            tmp_path, name, batch_size, 3, same.format(path=tmp_path / f'{name}.pth')
        )
        options = ['--launcher', 'pytorch'] if launcher else []
        arguments = [config, '--work-dir', tmp_path / f'work_{name}', *options]
        if launcher:
            process = run(tmp_path, *launcher, TRAIN, *arguments)
            assert process.returncode == 0, process.stdout[-3000:]
        else:
            run_tool('train', *arguments)
        losses[name] = torch.load(tmp_path / f'{name}.pth', weights_only=True)
    assert len(losses['one']) == 3
    assert losses['two'] == pytest.approx(losses['one'], rel=1e-4)


@pytest.mark.skipif(
    host_family() == 'OneDL',
    reason='onedl-mmengine resumes without replaying the augmentations of the data it skips',
)
def test_killed_and_resumed_run_ends_with_the_same_weights(tmp_path):
    (tmp_path / 'killing_hook.py').write_text(KILLER)
    killing = """
custom_imports = dict(imports=['sfnet_mm', 'killing_hook'])
custom_hooks = [*_base_.custom_hooks, dict(type='KillingHook')]
"""
    config = write_config(tmp_path, 'config', 2, 5)
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    process = run(
        tmp_path, TRAIN, write_config(tmp_path, 'killing', 2, 5, killing), '--work-dir', killed
    )
    assert process.returncode == -signal.SIGKILL, process.stdout[-3000:]
    assert (killed / 'iter_2.pth').exists() and not (killed / 'iter_5.pth').exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the process above had
    run_tool('train', config, '--work-dir', killed, '--resume')
    run_tool('train', config, '--work-dir', whole)
    torch.set_num_threads(threads)

    expected = load_checkpoint_file(str(whole / 'iter_5.pth'))['state_dict']
    resumed = load_checkpoint_file(str(killed / 'iter_5.pth'))['state_dict']
    start = load_checkpoint_file(str(whole / 'iter_2.pth'))['state_dict']
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        assert torch.equal(value, resumed[name]), name
    assert any(not torch.equal(value, start[name]) for name, value in expected.items())
