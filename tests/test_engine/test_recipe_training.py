"""The whole recipe trains, ends and resumes; each trick goes off by one option."""

import os.path as osp
import re

import pytest
import torch
from helpers import ROOT, read_text, run_tool
from mmengine.dataset import Compose

import sfnet_mm.engine.runner as runner_file
from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.utils.config import load_config

CONFIG = osp.join(ROOT, 'configs', 'sfnet_stdc1_recipe_miniuds.py')
TRICKS = {
    'class-uniform sampling': 'train_dataloader.dataset.fraction=0',
    'deep supervision': 'model.decode_head.deep_supervision=False',
    'hard pixels': 'model.decode_head.loss_decode.keep_ratio=1',
    'scale': 'train_dataloader.dataset.dataset.pipeline.2.ratio_range=1,1',
    'flip': 'train_dataloader.dataset.dataset.pipeline.4.prob=0.0',
    'pretrained weights': 'model.backbone.init_cfg=None',
}
# Nobody listens there.
UNREACHABLE = 'http://127.0.0.1:9/imagenet.pth'


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Runs ``tools/train.py`` on few small images with further options."""
    monkeypatch.setattr(runner_file.DataFirstRunner, '_log_env', lambda *args: None)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))

    def run(config=CONFIG, iters=2, resume=False, work='work'):
        data = [
            f'{part}.{key}={value}'
            for part in ('train_dataloader.dataset.dataset', 'val_dataloader.dataset')
            for key, value in (('data_root', tmp_path / 'data'), ('train', 6), ('val', 1))
        ]
        few = ['train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
        few += [f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val')]
        few += ['val_dataloader.num_workers=0', 'train_dataloader.dataset.workers=1']
        few += [f'train_cfg.max_iters={iters}', 'train_cfg.val_interval=100']
        few += ['default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.save_best=None']
        thin = ['model.backbone.channels=8,8,16,24,32', 'model.decode_head.channels=16']
        thin += ['model.decode_head.in_channels=8,16,24,32']
        options = ['--work-dir', tmp_path / work, *(['--resume'] if resume else [])]
        run_tool('train', config, *options, '--cfg-options', *data, *few, *thin)

    return run


def test_the_recipe_ends_and_resumes_without_a_network(train, tmp_path):
    train()
    before = load_checkpoint_file(str(tmp_path / 'work' / 'iter_2.pth'))
    names = before['state_dict']
    assert any(name.startswith('decode_head.dsn.2.') for name in names)
    # The checkpoint has every weight, so none is fetched.
    config = tmp_path / 'pretrained.py'
    config.write_text(
        f"_base_ = ['{CONFIG}']\n"
        f"weights = dict(_delete_=True, type='Pretrained', checkpoint='{UNREACHABLE}')\n"
        'model = dict(backbone=dict(init_cfg=weights))\n'
    )
    train(config, iters=3, resume=True)
    after = load_checkpoint_file(str(tmp_path / 'work' / 'iter_3.pth'))
    assert after['meta']['iter'] == 3
    assert any(not torch.equal(after['state_dict'][k], v) for k, v in names.items())

    # A new run has to fetch them, and the last line says what to do.
    with pytest.raises(SystemExit) as error:
        train(config, iters=3)
    line = str(error.value)
    place = tmp_path / 'torch_home' / 'hub' / 'checkpoints' / 'imagenet.pth'
    assert '\n' not in line and UNREACHABLE in line and f'put it at {place}' in line
    assert line.endswith('--cfg-options model.backbone.init_cfg=None')


def test_a_run_with_load_from_resumes_itself(train, tmp_path):
    """mmengine would go on with the iterations of ``load_from``."""
    train()
    state = load_checkpoint_file(str(tmp_path / 'work' / 'iter_2.pth'))
    state['meta']['iter'] = 50
    torch.save(state, tmp_path / 'first.pth')
    config = tmp_path / 'second.py'
    config.write_text(f"_base_ = ['{CONFIG}']\nload_from = '{tmp_path}/first.pth'\n")
    # Nothing is there to resume yet: the run starts from the weights of load_from.
    train(config, resume=True, work='second')
    train(config, iters=3, resume=True, work='second')
    ends = [
        load_checkpoint_file(str(tmp_path / 'second' / f'iter_{i}.pth'))['meta']['iter']
        for i in (1, 2, 3)
    ]
    assert ends == [1, 2, 3]


def test_every_trick_goes_off_by_the_documented_option(tmp_path):
    page = read_text('docs/configs.md')
    config = osp.join(ROOT, 'configs', 'sfnet_stdc1_cityscapes.py')
    work = str(tmp_path)
    for name, option in TRICKS.items():
        assert option in page, name
    usual = load_config(config, [], work, 'none')
    off = load_config(config, list(TRICKS.values()), work, 'none')
    assert usual.train_dataloader.dataset.fraction == 0.5
    assert off.train_dataloader.dataset.fraction == 0
    assert usual.model.decode_head.deep_supervision and not off.model.decode_head.deep_supervision
    assert off.model.decode_head.loss_decode.keep_ratio == 1
    assert usual.model.backbone.init_cfg and off.model.backbone.init_cfg is None
    steps = off.train_dataloader.dataset.dataset.pipeline
    assert (steps[2].type, list(steps[2].ratio_range)) == ('RandomRescale', [1, 1])
    assert (steps[4].type, steps[4].prob) == ('RandomFlip', 0)
    Compose(steps)  # RandomFlip takes no integers

    # Coarse boosting goes on by one.
    options = re.findall(r'train_dataloader\.dataset\.coarse\.[^\s`]+', page)
    coarse = load_config(config, options, work, 'none').train_dataloader.dataset.coarse
    expected = dict(
        type='CityscapesCoarseDataset', data_root='data/cityscapes', split='train_extra'
    )
    assert coarse == expected and 'coarse' not in usual.train_dataloader.dataset
