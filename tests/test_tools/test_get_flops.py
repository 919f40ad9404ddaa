"""The counter of parameters and multiply-adds, against figures counted on the released modules."""

import importlib.util
import os.path as osp

import pytest
from helpers import ROOT, load_config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS


@pytest.fixture(scope='module')
def tool():
    path = osp.join(ROOT, 'tools', 'analysis_tools', 'get_flops.py')
    spec = importlib.util.spec_from_file_location('get_flops', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def meta_model(config, **head):
    cfg = load_config(config)
    cfg.model.decode_head.update(head)
    init_default_scope('mmseg')
    return MODELS.build(cfg.model).eval().to('meta')


@pytest.mark.parametrize(
    'config, parameters, giga_at_half_size',
    [
        ('configs/sfnet_stdc1_cityscapes.py', 5992371, 59.4 / 4),
        ('configs/sfnet_lite_stdc2_cityscapes.py', 10464087, 100.5 / 4),
        ('configs/sfnet_df1_cityscapes.py', 8422387, 32.7 / 4),
    ],
)
def test_counts(tool, config, parameters, giga_at_half_size):
    model = meta_model(config)
    assert tool.parameters_at_inference(model) == parameters
    # The context module's part does not grow with the area, hence not exactly a quarter.
    giga = tool.multiply_adds(model, (512, 1024)) / 1e9
    assert giga == pytest.approx(giga_at_half_size, abs=0.05)


def test_deep_supervision_is_not_counted(tool):
    config = 'configs/sfnet_df1_cityscapes.py'
    model = meta_model(config, deep_supervision=True)
    assert sum(p.numel() for p in model.parameters()) > 8422387
    assert tool.parameters_at_inference(model) == 8422387


def test_table_shows_the_paper_and_why_it_differs(tool, capsys):
    tool.main([osp.join(ROOT, 'configs', 'sfnet_stdc1_uds.py')])
    out = capsys.readouterr().out
    name, parameters, paper, macs, paper_macs = out.splitlines()[2].split()
    assert name == 'sfnet_stdc1_uds'
    assert (parameters, paper, macs, paper_macs) == ('5.992M', '9.1M', '59.4G', '59.8G')
    assert 'counts the ImageNet classifier' in out


def test_figures_of_the_paper_belong_to_configs(tool):
    figures = tool.paper_figures()
    assert all(osp.isfile(osp.join(ROOT, config)) for config in figures)
    with_parameters = [c for c, paper in figures.items() if 'Parameters' in paper]
    assert len(with_parameters) == 8
    for paper in figures.values():
        if 'Input' in paper:
            assert tool.image_size(paper['Input']) in ((1024, 1024), (1024, 2048))


@pytest.mark.parametrize('arguments', [[], ['a.py', '--size', '1024'], ['a.py', '--size', '8x8']])
def test_bad_arguments(tool, arguments):
    with pytest.raises(SystemExit):
        tool.parse_args(arguments)


def test_missing_config_is_one_line(tool):
    with pytest.raises(SystemExit, match='^error: config nowhere.py does not exist$'):
        tool.main(['nowhere.py'])
