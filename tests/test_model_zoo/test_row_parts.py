"""Rows that compare parts of a network or of its training differ in what they name."""

import pytest
from helpers import load_config
from row_helpers import CASES, FILES, SAYS, TABLES, config, heads, ids, step


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
    table = TABLES[number]
    row = next(r for r in table.rows if r.matches(method))
    return heads(config(row.config))[0]


def test_parts_of_fam():
    for kernel in (1, 3, 5, 7):
        align = align_of('9b', {'kernel': kernel}).get('align') or {}
        assert align.get('kernel_size', 3) == kernel
    modes = dict(bilinear='bilinear', deconvolution='deconv', nearest='nearest')
    for method, mode in modes.items():
        align = align_of('9a', {'method': method}).get('align') or {}
        assert align.get('upsample', 'bilinear') == mode
    head = align_of('9c', {'method': 'correlation'})
    assert head.align.max_displacement and list(head.align_levels) == [2]
    assert list(align_of('9c', {'method': 'FAM (printed as Ours)'}).align_levels) == [2]
    kinds = {'non-local': 'NonLocal', 'ASPP': 'ASPP', 'DenseASPP': 'DenseASPP'}
    for method, kind in kinds.items():
        head = align_of('8c', {'method': f'FAM + {method}'})
        assert head.context.type == f'{kind}Context' and head.get('align', True)


def test_parts_of_gd_fam():
    gates = [{'attention': a, 'gate': g, 'dual_flow': True} for a, g in ((0, 0), (1, 0), (1, 1))]
    found = [align_of('10b', g).get('align') or {} for g in gates]
    kinds = [f.get('type', 'GatedDualFlowAlignmentModule') for f in found]
    assert kinds == ['SeparateGatesAlignmentModule'] * 2 + ['GatedDualFlowAlignmentModule']
    assert [f.get('gate', 'attention') for f in found] == ['conv', 'attention', 'attention']


def test_table_8a_is_a_ladder():
    table = TABLES['8a']
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
    table = TABLES['10c']
    for row in table.rows:
        cfg = config(row.config)
        data = cfg.train_dataloader.dataset
        assert (data.fraction == 0.5) == row.figures['uniform_sampling']
        long = SAYS['4.3']['long' if row.figures['long_training'] else 'short']
        assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == long
        assert bool(data.get('coarse')) == row.figures['coarse_boosting']


def test_tables_14_and_16():
    table = TABLES['14']
    for row in table.rows:
        cfg = config(row.config)
        assert bool(cfg.get('load_from')) == row.figures['uds']
        assert cfg.model.decode_head.type == 'SFNetHead'
    for row in TABLES['16'].rows:
        (uds,) = row.also
        here, there = config(row.config).model, config(uds).model
        assert here == there and config(uds).train_dataloader != config(row.config).train_dataloader


def test_table_18_is_semantic_fpn():
    for row in TABLES['18'].rows:
        model = config(row.config).model
        assert model.decode_head.type == 'FPNHead'
        align = model.neck.get('align', dict(type='FlowAlignmentModule'))
        kinds = {'SFNet': 'FlowAlignmentModule', 'SFNet-Lite': 'GatedDualFlowAlignmentModule'}
        wanted = kinds.get(row.figures['method'])
        assert model.neck.type == ('AlignedFPN' if wanted else 'FPN')
        assert not wanted or align['type'] == wanted


def test_table_15_is_trained_on_coco_and_then_on_cityscapes():
    pytest.importorskip('mmdet', reason='needs make install-panoptic')
    says = {k: v for s in TABLES['15'].expect['settings'] for k, v in SAYS[s].items()}
    short, long = says['short_side'], says['long_side']
    for row in TABLES['15'].rows:
        if not row.config:
            continue
        coco, city = (load_config(FILES[n]) for n in (f'{row.config[:-11]}_coco', row.config))
        assert coco.train_cfg.max_epochs == coco.param_scheduler[-1].end == says['epochs']
        whole, cropped = step(coco.train_dataloader.dataset.pipeline, 'RandomChoice').transforms
        assert step(cropped, 'RandomCrop') and not step(whole, 'RandomCrop')
        for resize in (whole[-1], cropped[-1]):
            sides = [min(scale) for scale in resize.scales]
            assert [min(sides), max(sides)] == short
            assert {max(scale) for scale in resize.scales} == {long} and resize.keep_ratio
        assert city.load_from.endswith(f'{row.config[:-11]}_coco/epoch_{says["epochs"]}.pth')
        pipeline = city.train_dataloader.dataset.dataset.pipeline
        scales = step(pipeline, 'RandomResize').scale
        assert [width / 2048 for width, _ in scales] == says['panoptic_scale']
        assert city.train_dataloader.dataset.times * city.train_cfg.max_epochs == 64
        (resize,) = (step(city.test_dataloader.dataset.pipeline, 'Resize'),)
        assert f'{resize.scale[1]}x{resize.scale[0]}' == row.figures['input']
        for cfg in (coco, city):
            assert cfg.auto_scale_lr.base_batch_size == says['panoptic_batch']
            assert cfg.train_dataloader.batch_size == 2
            backbone = cfg.model.backbone
            assert backbone.init_cfg.type == 'Pretrained'
            found = backbone.get('stdc_type', f'ResNet-{backbone.get("depth")}')
            assert found.replace('Net', '' if 'STDC' in found else 'Net') == row.figures['backbone']
            neck = 'mmseg.AlignedFPN' if row.figures['method'].startswith('SFNet') else 'FPN'
            assert cfg.model.neck.type == neck


def test_table_17_whitens():
    for row in TABLES['17'].rows:
        cfg = config(row.config)
        assert cfg.model.type == 'ISWEncoderDecoder'
        # Six epochs of the images of Cityscapes.
        assert cfg.default_hooks.isw.begin_iter == 6 * 2975 // SAYS['4.6 (Table 17)']['batch']
        assert (heads(cfg)[0].get('align', True) is None) == (row.figures['method'] == 'baseline')
