"""The commands that users type, run on the installed package from a folder outside of it."""

import os
import os.path as osp
import re
import shutil
import subprocess
import sys
from importlib import metadata

import mmcv
import mmseg
import numpy as np
import pytest

from sfnet_mm.compat import host_family, load_checkpoint_file

ON_CPU = ('sfnet_mm', 'configs/sfnet_lite_stdc1_miniuds.py', '--gpus', '0')
MIM = osp.join(osp.dirname(sys.executable), 'mim')


def installed():
    try:
        metadata.version('sfnet_mm')
    except metadata.PackageNotFoundError:
        return False
    return osp.exists(MIM)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason='sfnet_mm or mim is not installed: make install'),
    pytest.mark.skipif(
        host_family() == 'OneDL',
        reason='onedl-mim 0.5.1 takes the first folder of RECORD, sfnet_mm-*.dist-info, for the '
        'package',
    ),
]


def mim(*args):
    """What a command of mim prints that is run outside of the repository."""
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    env.update(PYTHONWARNINGS='ignore', OMP_NUM_THREADS='2')
    output = dict(text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    result = subprocess.run([MIM, *map(str, args)], cwd='/', env=env, **output)
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


def options(data_root, max_iters=3):
    """A run of a few iterations on a few drawn images."""
    pairs = {
        f'{split}_dataloader.dataset.{name}': value
        for split in ('train', 'val', 'test')
        for name, value in dict(data_root=data_root, train=2, val=1).items()
    }
    pairs |= {
        'train_cfg.max_iters': max_iters,
        'train_cfg.val_interval': 3,
        'train_dataloader.batch_size': 2,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
    }
    return ['--cfg-options', *(f'{name}={value}' for name, value in pairs.items())]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A work dir trained by mim from '/', and the data it was trained on."""
    tmp = tmp_path_factory.mktemp('mim')
    out = mim('train', *ON_CPU, '--work-dir', tmp / 'work', *options(tmp / 'data'))
    assert 'mini_uds: drawing' in out and 'mIoU/idd' in out
    return tmp


def test_train_writes_checkpoints(run):
    assert (run / 'work' / 'iter_2.pth').exists() and (run / 'work' / 'iter_3.pth').exists()


def test_test_time_augmentation_reports_all_and_each_source_and_draws(run):
    checkpoint = ['--checkpoint', run / 'work' / 'iter_3.pth']
    folders = ['--work-dir', run / 'test', '--show-dir', run / 'shown', '--out', run / 'masks']
    out = mim('test', *ON_CPU, *checkpoint, *folders, *options(run / 'data'), '--tta')
    for name in ('mIoU', 'mIoU/cityscapes', 'mIoU/idd', 'mIoU/mapillary', 'mIoU/bdd'):
        assert re.search(rf'{name}: +\d', out), name
    assert list((run / 'shown').rglob('*.png'))
    assert len(list((run / 'masks').rglob('*.png'))) == 4


def test_resume_goes_on_from_the_latest_checkpoint(run):
    shutil.copytree(run / 'work', run / 'resumed')
    arguments = ['--work-dir', run / 'resumed', *options(run / 'data', max_iters=4), '--resume']
    out = mim('train', *ON_CPU, *arguments)
    assert 'resumed epoch: 0, iter: 3' in out
    assert (run / 'resumed' / 'iter_4.pth').exists()


def test_list_and_search_know_the_package():
    assert re.search(r'^sfnet[_-]mm +\d', mim('list'), re.M)
    found = mim('search', 'sfnet_mm', '--config', 'sfnet_lite_stdc1_uds')
    assert 'sfnet_lite_stdc1_uds' in found


def test_mmseg_config_from_elsewhere_trains_with_mmseg_tools(tmp_path):
    """A config with mmseg's own base, data and tools, and only the decode head from here."""
    mmseg_mim = osp.join(osp.dirname(mmseg.__file__), '.mim')
    config = tmp_path / 'mine.py'
    config.write_text(f"""
_base_ = ['{mmseg_mim}/configs/_base_/models/fcn_r50-d8.py',
          '{mmseg_mim}/configs/_base_/default_runtime.py',
          '{mmseg_mim}/configs/_base_/schedules/schedule_20k.py']
custom_imports = dict(imports=['sfnet_mm'])
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2), norm_cfg=norm_cfg),
    decode_head=dict(_delete_=True, type='SFNetHead', in_channels=[64, 128, 256, 512], channels=32,
                     num_classes=3, norm_cfg=norm_cfg,
                     loss_decode=dict(type='CrossEntropyLoss')),
    auxiliary_head=None)
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='Resize', scale=(64, 64)), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='BaseSegDataset', data_root='{tmp_path}/toy', img_suffix='.png',
                 data_prefix=dict(img_path='img', seg_map_path='ann'),
                 metainfo=dict(classes=('a', 'b', 'c')), pipeline=pipeline))
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=10)
default_hooks = dict(logger=dict(interval=1))
env_cfg = dict(dist_cfg=dict(backend='gloo'))
""")
    rng = np.random.default_rng(0)
    for folder, shape in (('img', (48, 80, 3)), ('ann', (48, 80))):
        for i in range(2):
            pixels = rng.integers(0, 256 if folder == 'img' else 3, shape, dtype=np.uint8)
            mmcv.imwrite(pixels, f'{tmp_path}/toy/{folder}/{i}.png')
    command = [sys.executable, '-W', 'ignore', f'{mmseg_mim}/tools/train.py', config]
    command += ['--work-dir', tmp_path / 'work']
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    state = load_checkpoint_file(str(tmp_path / 'work' / 'iter_2.pth'))['state_dict']
    assert 'decode_head.fpn.fpn_out_align.0.flow_make.weight' in state
