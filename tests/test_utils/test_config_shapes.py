"""Tools take configs of every shape that mmengine takes."""

import os.path as osp
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from sfnet_mm.deploy.model import dataset_meta, read_fitting_checkpoint
from sfnet_mm.utils.config import (
    enable_auto_scale_lr,
    enable_drawing,
    enable_tta,
    fit_to_cpu,
    keep_predictions,
    load_config,
    read_config,
)
from sfnet_mm.utils.config_parts import data_sets, metrics, type_name


def loader(*wrappers, **dataset):
    """A data loader of a data set inside of some wrappers."""
    found = dict(dict(type='BaseSegDataset', pipeline=['plain']), **dataset)
    for wrapper in wrappers:
        inner = dict(datasets=[found, dict(found)]) if 'Concat' in wrapper else dict(dataset=found)
        found = dict(type=wrapper, **inner)
    return dict(dataset=found)


@pytest.mark.parametrize(
    'evaluator',
    [
        dict(type='IoUMetric'),
        dict(type='mmseg.IoUMetric'),
        dict(type=IoUMetric),
        [dict(type='IoUMetric'), dict(type='IoUMetric', prefix='f')],
        dict(type='Evaluator', metrics=[dict(type='IoUMetric')]),
    ],
)
def test_out_is_written_once_whatever_the_shape_of_the_evaluator(evaluator):
    cfg = Config(dict(test_evaluator=evaluator, custom_hooks=None))
    keep_predictions(cfg, 'masks')
    assert cfg.custom_hooks == [dict(type='mmseg.PredictionHook', mask_dir='masks')]


@pytest.mark.parametrize('shape', ['one', 'a list', 'an Evaluator'])
def test_out_of_boxes_goes_to_files_with_a_prefix(shape):
    metric = dict(type='mmdet.CocoMetric')
    shapes = {'one': metric, 'a list': [metric], 'an Evaluator': dict(metrics=[metric])}
    cfg = Config(dict(test_evaluator=shapes[shape]))
    keep_predictions(cfg, 'boxes')
    (metric,) = metrics(cfg.test_evaluator)
    assert metric.outfile_prefix == osp.join('boxes', 'results')


@pytest.mark.parametrize(
    'wrappers', [(), ('RepeatDataset',), ('ConcatDataset',), ('ConcatDataset', 'RepeatDataset')]
)
def test_tta_reaches_the_data_set_inside_of_its_wrappers(wrappers):
    cfg = Config(
        dict(
            test_dataloader=loader(*wrappers),
            tta_model=dict(type='SegTTAModel'),
            tta_pipeline=['augmented'],
            model=dict(type='EncoderDecoder'),
        )
    )
    enable_tta(cfg)
    inner = data_sets(cfg.test_dataloader)
    assert len(inner) == (2 if 'ConcatDataset' in wrappers else 1)
    assert all(d.pipeline == ['augmented'] for d in inner)
    assert cfg.model.type == 'SegTTAModel' and cfg.model.module.type == 'EncoderDecoder'


@pytest.mark.parametrize('head', [dict(num_classes=1), dict(num_classes=2, out_channels=1)])
def test_tta_of_one_logit_thresholds_the_mean_probability(head):
    cfg = Config(
        dict(
            test_dataloader=loader(),
            tta_model=dict(type='SegTTAModel'),
            tta_pipeline=['augmented'],
            model=dict(type='EncoderDecoder', decode_head=head),
        )
    )
    enable_tta(cfg)
    module = torch.nn.Module()
    module.test_step = None
    module.out_channels, module.decode_head = 1, SimpleNamespace(threshold=0.3)
    merger = MODELS.build(dict(cfg.tta_model, module=module))
    # What EncoderDecoder gives for one image, its flip and a larger one.
    probabilities = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    samples = [
        SegDataSample(seg_logits=PixelData(data=p), metainfo=dict(img_path='a'))
        for p in probabilities.clone()
    ]
    mask = merger.merge_preds([samples])[0].pred_sem_seg.data
    expected = probabilities.double().mean(0) > 0.3
    assert 0 < expected.sum() < 20 and torch.equal(mask.bool(), expected)


def test_tta_without_its_parts_is_refused():
    cfg = Config(dict(test_dataloader=loader(), tta_model=None, model=dict(type='A')))
    with pytest.raises(ValueError, match='--tta needs tta_model and tta_pipeline'):
        enable_tta(cfg)
    mixed = loader('MultiImageMixDataset')
    mixed['dataset']['pipeline'] = [dict(type='RandomMosaic')]
    cfg = Config(dict(cfg, test_dataloader=mixed, tta_model=dict(type='T'), tta_pipeline=['a']))
    with pytest.raises(ValueError, match='MultiImageMixDataset in test_dataloader has one'):
        enable_tta(cfg)


def test_auto_scale_lr_without_a_batch_size_says_what_to_set():
    for given in ({}, dict(auto_scale_lr=None), dict(auto_scale_lr=dict(enable=False))):
        with pytest.raises(ValueError, match=r'set auto_scale_lr=dict\(base_batch_size=16\)'):
            enable_auto_scale_lr(Config(given))
    cfg = Config(dict(auto_scale_lr=dict(enable=False, base_batch_size=8)))
    enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable


def test_show_dir_without_hooks_or_visualizer():
    cfg = Config(dict(default_hooks=None, custom_hooks=None))
    enable_drawing(cfg, 'pictures', False, 0)
    assert cfg.custom_hooks[0].picture_dir == 'pictures'
    cfg = Config(dict(default_hooks=dict(visualization=dict(type='SegVisualizationHook'))))
    enable_drawing(cfg, 'pictures', False, 0)
    assert not cfg.default_hooks and cfg.custom_hooks[0].type == 'mmseg.PredictionHook'
    cfg = Config(dict(default_hooks=dict(visualization=dict(type='DetVisualizationHook'))))
    with pytest.raises(ValueError, match='DetVisualizationHook needs a visualizer'):
        enable_drawing(cfg, 'pictures', False, 0)


def test_norm_layers_given_as_classes_fit_the_cpu():
    cfg = Config(dict(model=dict(backbone=dict(norm_cfg=dict(type=torch.nn.SyncBatchNorm)))))
    fit_to_cpu(cfg)
    assert cfg.model.backbone.norm_cfg.type == 'BN'
    assert type_name(dict(type=IoUMetric)) == type_name('mmseg.IoUMetric') == 'IoUMetric'


def test_classes_and_colors_come_from_whatever_data_there_is():
    road = CityscapesDataset.METAINFO
    for given in (
        dict(test_dataloader=loader(type='CityscapesDataset')),
        dict(test_dataloader=None, val_dataloader=loader(type=CityscapesDataset)),
        dict(train_dataloader=loader('RepeatDataset', type='mmseg.CityscapesDataset')),
    ):
        meta = dataset_meta(Config(given))
        assert list(meta['classes']) == list(road['classes'])
        assert list(meta['palette']) == list(road['palette'])


def test_classes_without_colors_get_those_that_mmseg_draws():
    info = dict(classes=('a', 'b', 'c'))
    meta = dataset_meta(Config(dict(test_dataloader=loader(metainfo=info))))
    expected = BaseSegDataset(metainfo=info, lazy_init=True).metainfo['palette']
    assert np.array_equal(meta['palette'], expected) and np.shape(expected) == (3, 3)


def test_some_of_the_classes_keep_their_colors_and_no_data_gives_numbers():
    some = loader(type='CityscapesDataset', metainfo=dict(classes=('car', 'road')))
    colors = dict(zip(*(CityscapesDataset.METAINFO[k] for k in ('classes', 'palette'))))
    meta = dataset_meta(Config(dict(test_dataloader=some)))
    assert meta['palette'] == [colors['car'], colors['road']]
    meta = dataset_meta(Config({}), num_classes=2)
    assert list(meta['classes']) == ['0', '1'] and len(meta['palette']) == 2


@pytest.mark.parametrize(
    'name, message',
    [
        ('_base_/models/sfnet.py', r'_base_/models/sfnet\.py is a base: name a config that builds'),
        ('metafile.md', 'does not exist'),
        ('metafile.yml', 'has no model'),
    ],
)
def test_what_is_no_config_of_a_model_is_refused(name, message):
    with pytest.raises((OSError, ValueError), match=message):
        read_config(osp.join(ROOT, 'configs', name))


@pytest.mark.parametrize(
    'text, message',
    [
        ('model = dict(', r"SyntaxError: '\(' was never closed"),
        ('a = 1\nmodel = dict(type=Foo)', r"NameError: name 'Foo' is not defined \(.*c.py, line 2"),
        ('model = 1', 'has no model'),
    ],
)
def test_config_that_is_no_python_or_no_model_is_one_line(text, message, tmp_path):
    (tmp_path / 'c.py').write_text(text)
    with pytest.raises(ValueError, match=f'c.py .*{message}') as caught:
        read_config(str(tmp_path / 'c.py'))
    assert '\n' not in str(caught.value)


def test_options_of_the_command_line_are_read_as_by_mmengine(tmp_path):
    (tmp_path / 'c.py').write_text("model = dict(type='A', size=1)")
    path, work = str(tmp_path / 'c.py'), str(tmp_path / 'work')
    cfg = load_config(path, ['model.size=(2,3)', 'name=x'], work, 'none')
    assert cfg.model.size == (2, 3) and cfg.name == 'x'
    with pytest.raises(ValueError, match="--cfg-options takes key=value, not 'name'"):
        load_config(path, ['name'], work, 'none')


@pytest.fixture
def model():
    net = torch.nn.Module()
    net.backbone = torch.nn.Linear(2, 2)
    net.auxiliary_head = torch.nn.Linear(2, 2)
    return net


@pytest.mark.parametrize('wrap', [lambda m: m, torch.nn.DataParallel])
def test_checkpoint_may_lack_heads_that_only_train(model, wrap, tmp_path):
    state = {f'module.{k}': v for k, v in model.state_dict().items() if 'backbone' in k}
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    loaded = read_fitting_checkpoint(wrap(model), str(tmp_path / 'a.pth'), 'c.py')
    assert set(loaded['state_dict']) == {'backbone.weight', 'backbone.bias'}


def test_checkpoint_of_another_model_is_refused(model, tmp_path):
    torch.save(dict(state_dict={'backbone.weight': torch.ones(3, 2)}), tmp_path / 'a.pth')
    with pytest.raises(ValueError) as e:
        read_fitting_checkpoint(model, str(tmp_path / 'a.pth'), 'c.py')
    assert str(e.value).endswith(
        'does not belong to c.py: 1 tensors are missing (backbone.bias); '
        '1 tensors are of another shape (backbone.weight)'
    )


@pytest.mark.parametrize(
    'content', [[1], torch.ones(2), dict(state_dict=None), dict(state_dict=[1]), {0: torch.ones(2)}]
)
def test_file_without_a_state_dict_is_refused(model, content, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a.pth holds a \w+, no state_dict of names$'):
        read_fitting_checkpoint(model, str(tmp_path / 'a.pth'), 'c.py')
