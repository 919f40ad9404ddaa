"""The commands that users type, run on the installed package from a folder outside of it."""

import os
import os.path as osp
import re
import shutil
import subprocess
import sys
from importlib import metadata

import pytest

from sfnet_mm.compat import host_family, load_checkpoint_file

CONFIG = 'configs/sfnet_lite_stdc1_miniuds.py'
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


def mim(*args, cwd='/', check=True):
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    env.update(PYTHONWARNINGS='ignore', OMP_NUM_THREADS='2')
    result = subprocess.run(
        [MIM, *map(str, args)],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if check:
        assert result.returncode == 0, result.stdout[-3000:]
    return result


def options(data_root, max_iters=3):
    """A run of a few iterations on a few drawn images."""
    pairs = {
        f'{split}_dataloader.dataset.{name}': value
        for split in ('train', 'val', 'test')
        for name, value in dict(data_root=data_root, train=2, val=1).items()
    }
    pairs.update(
        {
            'train_cfg.max_iters': max_iters,
            'train_cfg.val_interval': 3,
            'train_dataloader.batch_size': 2,
            'default_hooks.checkpoint.interval': 2,
            'default_hooks.logger.interval': 1,
        }
    )
    return ['--cfg-options', *(f'{name}={value}' for name, value in pairs.items())]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A work dir trained by mim from '/', and the data it was trained on."""
    tmp = tmp_path_factory.mktemp('mim')
    out = mim(
        'train',
        'sfnet_mm',
        CONFIG,
        '--work-dir',
        tmp / 'work',
        '--gpus',
        '0',
        *options(tmp / 'data'),
    ).stdout
    assert 'mini_uds: drawing' in out and 'mIoU/idd' in out
    return tmp


def test_train_writes_checkpoints(run):
    assert (run / 'work' / 'iter_2.pth').exists() and (run / 'work' / 'iter_3.pth').exists()


def test_test_time_augmentation_reports_all_and_each_source_and_draws(run):
    out = mim(
        'test',
        'sfnet_mm',
        CONFIG,
        '--checkpoint',
        run / 'work' / 'iter_3.pth',
        '--work-dir',
        run / 'test',
        '--show-dir',
        run / 'shown',
        '--out',
        run / 'masks',
        '--gpus',
        '0',
        *options(run / 'data'),
        '--tta',
    ).stdout
    for name in ('mIoU', 'mIoU/cityscapes', 'mIoU/idd', 'mIoU/mapillary', 'mIoU/bdd'):
        assert re.search(rf'{name}: +\d', out), name
    assert list((run / 'shown').rglob('*.png'))
    assert len(list((run / 'masks').rglob('*.png'))) == 4


def test_resume_goes_on_from_the_latest_checkpoint(run):
    shutil.copytree(run / 'work', run / 'resumed')
    out = mim(
        'train',
        'sfnet_mm',
        CONFIG,
        '--work-dir',
        run / 'resumed',
        '--gpus',
        '0',
        *options(run / 'data', max_iters=4),
        '--resume',
    ).stdout
    assert 'resumed epoch: 0, iter: 3' in out
    assert (run / 'resumed' / 'iter_4.pth').exists()


def test_list_and_search_know_the_package(run):
    assert re.search(r'^sfnet[_-]mm +\d', mim('list').stdout, re.M)
    found = mim('search', 'sfnet_mm', '--config', 'sfnet_lite_stdc1_uds').stdout
    assert 'sfnet_lite_stdc1_uds' in found


def test_mmseg_config_from_elsewhere_trains_with_mmseg_tools(run, tmp_path):
    """A config with mmseg's own base, data and tools, and only the decode head from here."""
    import mmseg

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
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for folder, shape in (('img', (48, 80, 3)), ('ann', (48, 80))):
        os.makedirs(tmp_path / 'toy' / folder)
        for i in range(2):
            high = 256 if folder == 'img' else 3
            cv2.imwrite(
                str(tmp_path / 'toy' / folder / f'{i}.png'),
                rng.integers(0, high, shape, dtype=np.uint8),
            )
    subprocess.run(
        [
            sys.executable,
            '-W',
            'ignore',
            osp.join(mmseg_mim, 'tools', 'train.py'),
            str(config),
            '--work-dir',
            str(tmp_path / 'work'),
        ],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    state = load_checkpoint_file(str(tmp_path / 'work' / 'iter_2.pth'))['state_dict']
    assert 'decode_head.fpn.fpn_out_align.0.flow_make.weight' in state
