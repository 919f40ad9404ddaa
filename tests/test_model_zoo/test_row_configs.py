"""Every row is built by a config with the classes, data, training and parts of the paper."""

from functools import lru_cache
from pathlib import Path

import pytest
from helpers import ROOT, load_config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from sfnet_mm.model_zoo.metafiles import config_files
from sfnet_mm.model_zoo.paper import paper_settings, paper_tables
from sfnet_mm.utils.config_parts import walk

FILES = config_files(Path(ROOT))
SAYS = {s['section']: s['says'] for s in paper_settings()}
CASES = [(t, r) for t in paper_tables() for r in t.rows if r.config and t.number != '15']
# Baselines whose published training this package keeps: losses, and no ImageNet weights there.
FROM_SCRATCH = ('bisenetv2', 'erfnet', 'ddrnet')
DATA = {
    'Cityscapes': 'cityscapes',
    '4': 'mapillary',
    '5': 'idd',
    '6': 'bdd',
    '7': 'uds',
    '14': 'camvid',
    '18': 'ade20k',
    '19': 'ade20k',
}


@lru_cache(None)
def config(name):
    return load_config(FILES[name])


def heads(cfg):
    found = cfg.model.decode_head
    return found if isinstance(found, list) else [found]


def innermost(loader):
    node = loader.dataset
    while 'dataset' in node:
        node = node.dataset
    return node


def step(pipeline, *kinds):
    return next((s for s in pipeline if s['type'] in kinds), None)


def size(text):
    return tuple(map(int, text.split('x')))


def ids(case):
    return f'{case[0].number}-{case[1].config}'


@pytest.mark.parametrize('case', CASES, ids=ids)
def test_classes_and_test(case):
    table, row = case
    expect = table.expect
    for name in (row.config, *row.also):
        cfg = config(name)
        init_default_scope('mmseg')
        if 'classes' in expect:
            assert {h.num_classes for h in heads(cfg)} == {expect['classes']}
            for loader in (cfg.train_dataloader, cfg.test_dataloader):
                kind = DATASETS.get(innermost(loader).type)
                assert len(kind.METAINFO['classes']) == expect['classes']
        if 'test' in expect:
            pipeline = innermost(cfg.test_dataloader).pipeline
            resize, crop = step(pipeline, 'Resize'), step(pipeline, 'CenterCrop')
            height, width = size(expect['test'])
            tested = crop.crop_size if crop else tuple(reversed(resize.scale))
            assert tuple(tested) == (height, width)
            if crop:
                assert min(resize.scale) == height and resize.keep_ratio
        if 'train_split' in expect:
            assert innermost(cfg.train_dataloader).split == expect['train_split']
            assert innermost(cfg.test_dataloader).split == expect['test_split']
        where = DATA.get(table.number) or DATA.get(row.figures.get('dataset'))
        if where and not row.also:
            assert name.endswith(f'_{where}')


@pytest.mark.parametrize('case', [c for c in CASES if c[0].expect], ids=ids)
def test_training_is_that_of_the_sections(case):
    table, row = case
    cfg = config(row.config)
    says = {k: v for s in table.expect['settings'] for k, v in SAYS[s].items()}
    pipeline = innermost(cfg.train_dataloader).pipeline
    optimizer, (*_, poly) = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    if 'iterations' in says:
        assert cfg.train_cfg.max_iters == poly.end == says['iterations']
    if 'crop' in says:
        crop = size(says['crop'])
        assert tuple(step(pipeline, 'RandomCrop', 'CropAroundCentroid').crop_size) == crop
        assert tuple(cfg.model.data_preprocessor.size) == crop
    if 'lr' in says:
        found = (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay)
        assert found == tuple(says[k] for k in ('optimizer', 'lr', 'momentum', 'weight_decay'))
        assert (poly.type, poly.power) == ('PolyLR', says['power'])
        assert cfg.auto_scale_lr.base_batch_size == says['batch']
        # Relative to the size of the image.
        assert list(step(pipeline, 'RandomRescale').ratio_range) == says['scale']
        assert step(pipeline, 'RandomFlip').prob == 0.5
    ours = row.config.startswith(('sfnet', 'fpn', 'fcn', 'dilated'))
    if says.get('imagenet') and not row.config.startswith(FROM_SCRATCH):
        pretrained = [n for n in walk(cfg.model.backbone) if n.get('init_cfg')]
        assert pretrained and pretrained[0].init_cfg.type == 'Pretrained', row.config
    if says.get('uniform_sampling'):
        assert cfg.train_dataloader.dataset.type == 'ClassUniformDataset'
        assert cfg.train_dataloader.dataset.fraction == 0.5
    if says.get('hard_pixels') and not row.config.startswith(FROM_SCRATCH):
        losses = [n.type for n in walk(heads(cfg)) if n.get('type', '').endswith('Entropy')]
        assert set(losses) == {'HardPixelCrossEntropy'}
    if says.get('deep_supervision') and ours and heads(cfg)[0].type == 'SFNetHead':
        assert heads(cfg)[0].deep_supervision


BACKBONES = {
    'ResNet-18': {'depth': 18},
    'ResNet-50': {'depth': 50},
    'ResNet-101': {'depth': 101},
    'STDC1': {'stdc_type': 'STDCNet1'},
    'STDC2': {'stdc_type': 'STDCNet2'},
    'DF1': {'arch': 'DF1'},
    'DF2': {'arch': 'DF2'},
    'MiT-B0': {'embed_dims': 32},
    'MiT-B1': {'embed_dims': 64},
}


@pytest.mark.parametrize('case', [c for c in CASES if c[1].figures.get('backbone')], ids=ids)
def test_backbone_and_decoder(case):
    table, row = case
    cfg, method = config(row.config), row.figures['method' if 'method' in row.figures else 'kernel']
    wanted = BACKBONES.get(row.figures['backbone'])
    if wanted and not row.config.startswith('bisenetv2'):
        assert any(
            all(n.get(k) == v for k, v in wanted.items()) for n in walk(cfg.model.backbone)
        ), row.config
    kind = heads(cfg)[0].type
    if method in ('SFNet', 'SFNet-Lite') and table.number != '18':
        assert kind == {'SFNet': 'SFNetHead', 'SFNet-Lite': 'SFNetLiteHead'}[method]


@pytest.mark.parametrize('case', [c for c in CASES if c[0].number in ('8b', '9d')], ids=ids)
def test_alignment_stands_at_the_ticks(case):
    _, row = case
    head = heads(config(row.config))[0]
    ticks = [i for i, stage in enumerate(('F3', 'F4', 'F5')) if row.figures[stage]]
    aligned = head.get('align', True) is not None
    levels = list(head.get('align_levels') or range(3)) if aligned else []
    assert levels == ticks
    if row.figures['method'] == 'DCN':
        assert head.align.type == 'DeformableConcatAlignment'


def align_of(number, method):
    table = next(t for t in paper_tables() if t.number == number)
    row = next(r for r in table.rows if r.matches(method))
    return heads(config(row.config))[0]


def test_parts_of_fam():
    for kernel in (1, 3, 5, 7):
        align = align_of('9b', {'kernel': kernel}).get('align') or {}
        assert align.get('kernel_size', 3) == kernel
    for method, mode in (
        ('bilinear', 'bilinear'),
        ('deconvolution', 'deconv'),
        ('nearest', 'nearest'),
    ):
        align = align_of('9a', {'method': method}).get('align') or {}
        assert align.get('upsample', 'bilinear') == mode
    head = align_of('9c', {'method': 'correlation'})
    assert head.align.max_displacement and list(head.align_levels) == [2]
    assert list(align_of('9c', {'method': 'FAM (printed as Ours)'}).align_levels) == [2]
    for method, kind in (
        ('FAM + non-local', 'NonLocalContext'),
        ('FAM + ASPP', 'ASPPContext'),
        ('FAM + DenseASPP', 'DenseASPPContext'),
    ):
        head = align_of('8c', {'method': method})
        assert head.context.type == kind and head.get('align', True)


def test_parts_of_gd_fam():
    gates = [{'attention': a, 'gate': g, 'dual_flow': True} for a, g in ((0, 0), (1, 0), (1, 1))]
    found = [align_of('10b', g).get('align') or {} for g in gates]
    kinds = [f.get('type', 'GatedDualFlowAlignmentModule') for f in found]
    assert kinds == ['SeparateGatesAlignmentModule'] * 2 + ['GatedDualFlowAlignmentModule']
    assert [f.get('gate', 'attention') for f in found] == ['conv', 'attention', 'attention']


def test_table_8a_is_a_ladder():
    table = next(t for t in paper_tables() if t.number == '8a')
    backbones = [dict(config(r.config).model.backbone) for r in table.rows]
    strides = [b.pop('strides', (1, 2, 2, 2)) for b in backbones]
    assert all(b == backbones[0] for b in backbones)
    for row, (_, *last) in zip(table.rows, strides):
        product = 4
        for stride in last:
            product *= stride
        assert product == row.figures['stride']
    contexts = [heads(config(r.config))[0].get('context') for r in table.rows[2:]]
    assert [c is None for c in contexts] == [False, False, True, True]
    aligned = [heads(config(r.config))[0].get('align', True) is not None for r in table.rows[2:]]
    assert aligned == [False, True, False, True]


def test_table_10c_adds_one_trick_at_a_time():
    table = next(t for t in paper_tables() if t.number == '10c')
    for row in table.rows:
        cfg = config(row.config)
        data = cfg.train_dataloader.dataset
        assert (data.fraction == 0.5) == row.figures['uniform_sampling']
        long = SAYS['4.3']['long' if row.figures['long_training'] else 'short']
        assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == long
        assert bool(data.get('coarse')) == row.figures['coarse_boosting']


def test_tables_14_and_16():
    table = next(t for t in paper_tables() if t.number == '14')
    for row in table.rows:
        cfg = config(row.config)
        assert bool(cfg.get('load_from')) == row.figures['uds']
        assert cfg.model.decode_head.type == 'SFNetHead'
    for row in next(t for t in paper_tables() if t.number == '16').rows:
        (uds,) = row.also
        here, there = config(row.config).model, config(uds).model
        assert here == there and config(uds).train_dataloader != config(row.config).train_dataloader


def test_table_18_is_semantic_fpn():
    for row in next(t for t in paper_tables() if t.number == '18').rows:
        model = config(row.config).model
        assert model.decode_head.type == 'FPNHead'
        align = model.neck.get('align', dict(type='FlowAlignmentModule'))
        kinds = {'SFNet': 'FlowAlignmentModule', 'SFNet-Lite': 'GatedDualFlowAlignmentModule'}
        wanted = kinds.get(row.figures['method'])
        assert (model.neck.type, align['type'] if wanted else None) == (
            'AlignedFPN' if wanted else 'FPN',
            wanted,
        )
