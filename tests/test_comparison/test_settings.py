"""The settings that a comparison gives to all of its configs."""

import pytest
from helpers import ROOT, load_tool
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from sfnet_mm.comparison.settings import Budget, Resources, prepare, walk
from sfnet_mm.config_files import config_path

TOOL = 'analysis_tools/compare'
CONFIGS = ['configs/ablation/fpn_ppm_efflite0_camvid360.py', 'configs/sfnet_efflite0_camvid360.py']


def test_settings_are_the_same_for_all(tmp_path):
    compare = load_tool(TOOL)
    argv = [*CONFIGS, '--iters', '100', '--batch-size', '4', '--crop', '64', '96']
    args = compare.parse_args(argv)
    names = ('sfnet_r18', 'ddrnet_23_slim', 'icnet_r50', 'pspnet_r50')
    configs = [config_path(f'{n}_cityscapes') for n in names]
    prepared = [
        prepare(c, *compare.settings(args), 7, str(tmp_path / str(i)))
        for i, c in enumerate(configs)
    ]
    for key in (
        'optim_wrapper',
        'param_scheduler',
        'train_cfg',
        'randomness',
        'val_dataloader',
        'val_evaluator',
    ):
        assert len({repr(cfg[key]) for cfg in prepared}) == 1, key
    for cfg in prepared:
        assert cfg.train_dataloader.batch_size == 4
        crops = [n for n in walk(cfg.train_dataloader) if 'crop_size' in n]
        assert {n.type for n in crops} <= {'RandomCrop', 'CropAroundCentroid'}
        assert crops and all(n.crop_size == (64, 96) for n in crops)
        assert cfg.model.data_preprocessor.size == (64, 96)
        kept = {n['min_kept'] for n in walk(cfg.model) if 'min_kept' in n}
        assert kept <= {int(0.048 * 4 * 64 * 96)}


def test_class_uniform_sampling_is_kept(tmp_path):
    budget = Budget(iters=100, batch_size=4, crop=(64, 96))
    names = ('sfnet_efflite0_camvid360', 'sfnet_efflite0_uniform_camvid360')
    plain, uniform = (
        prepare(config_path(n), budget, Resources(), 0, str(tmp_path)).train_dataloader
        for n in names
    )
    assert plain.sampler == dict(type='InfiniteSampler', shuffle=True)
    assert uniform.sampler == dict(type='ClassUniformSampler', infinite=True)
    assert uniform.dataset.type == 'ClassUniformDataset'
    # The images and all other transforms are the same.
    assert uniform.dataset.dataset.data_root == plain.dataset.data_root
    kinds = [[t.type for t in d.pipeline] for d in (plain.dataset, uniform.dataset.dataset)]
    assert kinds[1] == [k.replace('RandomCrop', 'CropAroundCentroid') for k in kinds[0]]


def test_optimizers(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    def prepared(path=CONFIGS[0], **kwargs):
        return prepare(path, Budget(iters=100, **kwargs), Resources(), 0, str(tmp_path))

    cfg = prepared(optimizer='adamw', backbone_lr_mult=0.5)
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert {rates[id(p)] for p in model.backbone.parameters()} == {0.0005}
    assert {rates[id(p)] for p in model.decode_head.parameters()} == {0.001}
    assert prepared().optim_wrapper.optimizer.lr == 0.01
    assert prepared(lr=0.3).optim_wrapper.optimizer.lr == 0.3
    # The config's own: 160k iterations with 1500 of warm-up become 100 with 1.
    cfg = prepared('configs/sfnet_lite_segformer_b0_ade20k.py', optimizer='config')
    assert cfg.optim_wrapper.optimizer.type == 'AdamW' and cfg.optim_wrapper.paramwise_cfg
    assert [(s.type, s.begin, s.end) for s in cfg.param_scheduler] == [
        ('LinearLR', 0, 1),
        ('PolyLR', 1, 100),
    ]
    with pytest.raises(ValueError, match='schedule in epochs'):
        prepared('configs/authors/sfnet_lite_r18_authors_1000e_cityscapes.py', optimizer='config')
