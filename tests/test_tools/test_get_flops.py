"""The counter of parameters and multiply-adds, against figures counted on the authors' modules."""

import os.path as osp

import pytest
from helpers import ROOT, load_tool, run_tool

TOOL = 'analysis_tools/get_flops'


def test_table_shows_the_paper_and_why_it_differs(capsys):
    run_tool(TOOL, osp.join(ROOT, 'configs', 'sfnet_stdc1_uds.py'))
    out = capsys.readouterr().out
    name, parameters, paper, macs, paper_macs = out.splitlines()[2].split()
    assert name == 'sfnet_stdc1_uds'
    assert (parameters, paper, macs, paper_macs) == ('5.992M', '9.1M', '59.4G', '59.8G')
    assert 'counts the ImageNet classifier' in out


def test_figures_of_the_paper_belong_to_configs():
    figures_for = load_tool(TOOL).figures_for
    assert figures_for('configs/sfnet_r18_cityscapes.py') == {
        'params_m': 12.9,
        'gflops': 123.5,
        'size': '1024x1024',
        'config': 'sfnet_r18_cityscapes',
    }
    # A row of its own comes first, then that on Cityscapes.
    uds = figures_for('configs/sfnet_lite_stdc1_uds.py')
    assert (uds['params_m'], uds['gflops']) == (13.7, 59.0)
    assert figures_for('configs/sfnet_lite_stdc1_miniuds.py')['params_m'] == 9.7
    assert figures_for('configs/sfnet_efflite0_uds.py') == {}


@pytest.mark.parametrize('arguments', [[], ['a.py', '--size', '1024'], ['a.py', '--size', '8x8']])
def test_bad_arguments(arguments):
    with pytest.raises(SystemExit):
        run_tool(TOOL, *arguments)


def test_missing_config_is_one_line():
    with pytest.raises(SystemExit, match='^error: config nowhere.py does not exist$'):
        run_tool(TOOL, 'nowhere.py')
