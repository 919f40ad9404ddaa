import copy
import os
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
import torch
from helpers import png_dataset
from mmcv import imwrite
from mmengine.config import Config
from mmengine.runner import Runner
from test_isw_encoder_decoder import MODEL

from sfnet_mm.compat import host_family, load_checkpoint_file
from sfnet_mm.engine import ISWHook

NUM_IMAGES = 6


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for i in range(NUM_IMAGES):
        image = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (64, 64))
        imwrite(image, root / 'img' / f'{i}.png')
        imwrite((image[..., 0] > 127).astype(np.uint8), root / 'ann' / f'{i}.png')
    return root


def make_config(data_root, work_dir, max_iters=6, begin_iter=3, **hook):
    dataset = png_dataset(
        data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(48, 48)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )
    return Config(
        dict(
            default_scope='mmseg',
            work_dir=str(work_dir),
            experiment_name='isw',
            model=dict(
                copy.deepcopy(MODEL),
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=[128.0] * 3,
                    std=[64.0] * 3,
                    size=(48, 48),
                    test_cfg=dict(size_divisor=32),
                ),
            ),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='InfiniteSampler', shuffle=True),
                dataset=dataset,
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=100),
                checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False),
            ),
            custom_hooks=[
                dict(
                    type='ISWHook',
                    begin_iter=begin_iter,
                    **{**dict(num_images=4, trials=2, k=2), **hook},
                )
            ],
            randomness=dict(seed=7),
            log_level='WARNING',
        )
    )


@pytest.fixture(scope='module')
def uninterrupted(data_root, tmp_path_factory):
    pytest.importorskip('kmeans1d', reason='kmeans1d is not installed')
    work_dir = tmp_path_factory.mktemp('whole')
    runner = Runner.from_cfg(make_config(data_root, work_dir))
    runner.train()
    return work_dir, runner.model


def saved(work_dir, iteration):
    return load_checkpoint_file(str(work_dir / f'iter_{iteration}.pth'))['state_dict']


def test_masks_appear_at_begin_iter_and_are_saved(uninterrupted):
    work_dir, model = uninterrupted
    before, after = saved(work_dir, 3), saved(work_dir, 4)
    assert not before['whitening_selected']
    assert after['whitening_selected']
    for slot, mask in model.whitening_masks.items():
        assert not before[f'whitening_mask_{slot}'].any()
        assert torch.equal(after[f'whitening_mask_{slot}'], mask)
        assert mask.any()
        assert not mask.tril().any()
    assert model.training


@pytest.mark.skipif(
    host_family() == 'OneDL',
    reason='onedl-mmengine resumes without replaying the augmentations of the data it skips',
)
@pytest.mark.parametrize('stop', [2, 3, 5], ids=['in warm-up', 'at its end', 'after it'])
def test_a_resumed_run_equals_the_uninterrupted_one(uninterrupted, data_root, tmp_path, stop):
    work_dir, model = uninterrupted
    cfg = make_config(data_root, tmp_path)
    cfg.resume = True
    cfg.load_from = str(work_dir / f'iter_{stop}.pth')
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False)
    runner = Runner.from_cfg(cfg)
    runner.train()
    resumed = runner.model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, resumed[name]), name


def test_one_pass_per_pair_and_nothing_of_the_network_changes(data_root, tmp_path):
    pytest.importorskip('kmeans1d', reason='kmeans1d is not installed')
    runner = Runner.from_cfg(make_config(data_root, tmp_path, max_iters=1, begin_iter=0))
    runner.model.init_weights()
    model, sizes = runner.model, []
    model.backbone.register_forward_hook(lambda m, args, out: sizes.append(args[0].shape))
    weights = copy.deepcopy(model.state_dict())
    assert runner.train_loop  # is built when it is asked for
    hook = ISWHook(0, num_images=100, trials=3, k=2)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    masks = hook.select(runner, model)
    assert len(sizes) == 3 * NUM_IMAGES
    assert set(sizes) == {(2, 3, 64, 64)}
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    again = ISWHook(0, num_images=100, trials=3, k=2, num_workers=2).select(runner, model)
    for slot, mask in masks.items():
        assert torch.equal(mask, again[slot]), 'the number of workers must not matter'
    single = ISWHook(0, num_images=100, trials=1, k=2).select(runner, model)
    for slot, mask in masks.items():
        assert (mask <= single[slot]).all(), 'further trials can only take pairs out'


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(begin_iter=-1), 'begin_iter=-1'),
        (dict(begin_iter=0, trials=0), 'trials=0'),
        (dict(begin_iter=0, num_images=0), 'num_images=0'),
        (dict(begin_iter=0, k=1), 'k=1 must be 2 or more'),
    ],
)
def test_bad_numbers(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ISWHook(**kwargs)


@pytest.mark.parametrize('change', [dict(kind='IW'), dict(type='EncoderDecoder')])
def test_a_model_of_another_kind_is_refused_before_training(data_root, tmp_path, change):
    cfg = make_config(data_root, tmp_path)
    cfg.model.update(change)
    with pytest.raises(ValueError, match='must be ISWEncoderDecoder'):
        Runner.from_cfg(cfg).train()


@pytest.mark.slow
def test_two_processes_hold_the_same_masks(data_root, tmp_path):
    """Each rank starts from other weights, so that only the broadcast can make the masks equal."""
    pytest.importorskip('kmeans1d', reason='kmeans1d is not installed')
    make_config(data_root, tmp_path, max_iters=1).dump(tmp_path / 'config.py')
    script = tmp_path / 'rank.py'
    script.write_text(
        textwrap.dedent("""
        import sys
        import torch
        import torch.distributed as dist
        import sfnet_mm
        from mmengine.config import Config
        from mmengine.runner import Runner
        from sfnet_mm.engine import ISWHook

        torch.set_num_threads(1)
        folder, rank = sys.argv[1], int(sys.argv[2])
        dist.init_process_group(
            'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
        cfg = Config.fromfile(f'{folder}/config.py')
        cfg.work_dir = f'{folder}/rank{rank}'
        runner = Runner.from_cfg(cfg)
        assert runner.train_loop  # is built when it is asked for
        torch.manual_seed(rank)
        for p in runner.model.parameters():
            torch.nn.init.normal_(p)
        masks = ISWHook(0, num_images=4, trials=2, k=2).select(runner, runner.model)
        weight = runner.model.backbone.stem[0].weight.detach()
        torch.save(dict(masks, weight=weight), f'{folder}/{rank}.pt')
        """)
    )
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(tmp_path), str(rank)], env=environment)
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    assert not torch.equal(first.pop('weight'), second.pop('weight'))
    for slot, mask in first.items():
        assert mask.any(), slot
        assert torch.equal(mask, second[slot]), slot
