"""Every row is built by a config with the classes, data and training of the paper."""

import numpy as np
import pytest
from mmseg.registry import DATASETS, TRANSFORMS
from row_helpers import CASES, SAYS, config, heads, ids, innermost, step

from sfnet_mm.utils.config_parts import walk

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
# Height and width of an image as distributed; those of Mapillary Vistas and UDS vary.
IMAGES = {
    'cityscapes': (1024, 2048),
    'mapillary': (3024, 4032),
    'idd': (1080, 1920),
    'bdd': (720, 1280),
    'uds': (1080, 1920),
    'city2uds': (1080, 1920),
    'camvid': (720, 960),
}
# How the backbone of a row is built, and how its ImageNet weights are called.
BACKBONES = {
    'ResNet-18': ('depth', 18, 'resnet18'),
    'ResNet-50': ('depth', 50, 'resnet50'),
    'ResNet-101': ('depth', 101, 'resnet101'),
    'STDC1': ('stdc_type', 'STDCNet1', '/stdc1'),
    'STDC2': ('stdc_type', 'STDCNet2', '/stdc2'),
    'DF1': ('arch', 'DF1', 'df1'),
    'DF2': ('arch', 'DF2', 'df2'),
    'MiT-B0': ('embed_dims', 32, 'mit_b0'),
    'MiT-B1': ('embed_dims', 64, 'mit_b1'),
}
IMAGES_PER_DEVICE = {16: 2, 8: 4}


def size(text):
    return tuple(map(int, text.split('x')))


def configs(row):
    return [(name, config(name)) for name in (row.config, *row.also)]


def input_size(cfg, height, width):
    """The height and width of an image of this size when it reaches the network."""
    results = dict(img=np.zeros((height, width, 3), np.uint8), img_shape=(height, width))
    results.update(ori_shape=(height, width), seg_fields=[])
    for transform in innermost(cfg.test_dataloader).pipeline:
        if not transform['type'].startswith(('Load', 'Pack')):
            results = TRANSFORMS.build(transform)(results)
    return results['img'].shape[:2]


@pytest.mark.parametrize('case', CASES, ids=ids)
def test_classes_and_data(case):
    table, row = case
    expect = table.expect
    for name, cfg in configs(row):
        if 'classes' in expect:
            assert {h.num_classes for h in heads(cfg)} == {expect['classes']}
            for loader in (cfg.train_dataloader, cfg.test_dataloader):
                kind = DATASETS.get(innermost(loader).type)
                assert len(kind.METAINFO['classes']) == expect['classes']
        if 'train_split' in expect:
            assert innermost(cfg.train_dataloader).split == expect['train_split']
            assert innermost(cfg.test_dataloader).split == expect['test_split']
        where = DATA.get(table.number) or DATA.get(row.figures.get('dataset'))
        if where and not row.also:
            assert name.endswith(f'_{where}')


@pytest.mark.parametrize('case', CASES, ids=ids)
def test_input_of_the_test(case):
    """That of the row, else the whole image; UDS has one size (section 4.2)."""
    _, row = case
    for name, cfg in configs(row):
        image = IMAGES.get(name.rsplit('_', 1)[1])
        if image:  # Images of ADE20K have no size in common.
            usual = (1024, 2048) if name.endswith('_uds') else image
            printed = row.figures.get('input')
            assert input_size(cfg, *image) == (size(printed) if printed else usual)


@pytest.mark.parametrize('case', [c for c in CASES if c[0].expect], ids=ids)
def test_training_is_that_of_the_sections(case):
    table, row = case
    says = {k: v for s in table.expect['settings'] for k, v in SAYS[s].items()}
    for name, cfg in configs(row):
        check_schedule(cfg, says)
        check_tricks(cfg, says, name)


def check_schedule(cfg, says):
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
        assert cfg.train_dataloader.batch_size == IMAGES_PER_DEVICE[says['batch']]
        # Relative to the size of the image.
        assert list(step(pipeline, 'RandomRescale').ratio_range) == says['scale']
        assert step(pipeline, 'RandomFlip').prob == 0.5


def check_tricks(cfg, says, name):
    if says.get('imagenet') and not name.startswith(FROM_SCRATCH):
        pretrained = [n for n in walk(cfg.model.backbone) if n.get('init_cfg')]
        assert pretrained and pretrained[0].init_cfg.type == 'Pretrained', name
    if says.get('uniform_sampling'):
        assert cfg.train_dataloader.dataset.type == 'ClassUniformDataset'
        assert cfg.train_dataloader.dataset.fraction == 0.5
    if 'hard_pixels' in says and not name.startswith(FROM_SCRATCH):
        losses = [n for n in walk(heads(cfg)) if n.get('type', '').endswith('Entropy')]
        losses += [n for n in walk(heads(cfg)) if n.get('type') == 'CrossEntropyLoss']
        kind = 'HardPixelCrossEntropy' if says['hard_pixels'] else 'CrossEntropyLoss'
        assert {n.type for n in losses} == {kind}
        height, width = size(says['crop'])
        for loss in losses:
            kept = loss.get('min_kept', 0) / (height * width)
            assert kept == pytest.approx(says['hard_pixels'], abs=0.005)
    if says.get('deep_supervision') and heads(cfg)[0].type in ('SFNetHead', 'SFNetLiteHead'):
        assert heads(cfg)[0].deep_supervision


@pytest.mark.parametrize('case', [c for c in CASES if c[1].figures.get('backbone')], ids=ids)
def test_backbone_and_decoder(case):
    table, row = case
    method = row.figures['method' if 'method' in row.figures else 'kernel']
    for name, cfg in configs(row):
        wanted = BACKBONES.get(row.figures['backbone'])
        if wanted and not name.startswith('bisenetv2'):
            key, value, weights = wanted
            assert any(n.get(key) == value for n in walk(cfg.model.backbone)), name
            found = [n.init_cfg for n in walk(cfg.model.backbone) if n.get('init_cfg')]
            assert all(weights in i.checkpoint for i in found), name
        kind = heads(cfg)[0].type
        if method in ('SFNet', 'SFNet-Lite') and table.number != '18':
            assert kind == {'SFNet': 'SFNetHead', 'SFNet-Lite': 'SFNetLiteHead'}[method]
