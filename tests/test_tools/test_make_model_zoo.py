"""The model zoo: complete, up to date, and its counts right."""

import importlib
import json
import os.path as osp
import re
import sys

import pytest
import yaml
from helpers import ROOT, config_paths

TOOLS = osp.join(ROOT, 'tools', 'analysis_tools')
PAGE = osp.join(ROOT, 'docs', 'model_zoo.md')


@pytest.fixture(scope='module')
def zoo():
    sys.path.insert(0, TOOLS)
    try:
        yield importlib.import_module('make_model_zoo')
    finally:
        sys.path.remove(TOOLS)


def test_page_is_up_to_date(zoo):
    zoo.main(['--check'])


def test_every_config_of_a_table_has_a_row():
    with open(PAGE, encoding='utf-8') as file:
        linked = set(re.findall(r'\]\(\.\./(configs/[^)]*)\)', file.read()))
    folders = ('panoptic', 'robustnet')
    expected = {p for p in config_paths() if p.split('/')[1] not in folders and 'miniuds' not in p}
    assert expected <= linked, sorted(expected - linked)


def test_metafiles_are_what_mim_reads():
    with open(osp.join(ROOT, 'model-index.yml'), encoding='utf-8') as file:
        imported = yaml.safe_load(file)['Import']
    collections, models = [], []
    for path in imported:
        with open(osp.join(ROOT, path), encoding='utf-8') as file:
            content = yaml.safe_load(file)
        collections += [c['Name'] for c in content.get('Collections', [])]
        models += content['Models']
    assert len(collections) == len(set(collections))
    names = [m['Name'] for m in models]
    assert len(names) == len(set(names))
    for model in models:
        assert model['In Collection'] in collections
        assert osp.basename(model['Config']) == model['Name'] + '.py'
        assert osp.isfile(osp.join(ROOT, model['Config']))


def test_mim_search_shows_papers_as_address_and_title():
    search = pytest.importorskip('mim.commands.search')
    fields = search.convert2df(search.load(osp.join(ROOT, 'model-index.yml'))).T
    for name, row in fields.items():
        assert re.fullmatch(r'https://arxiv\.org/abs/\d{4}\.\d{4,5} \([^()]+\)', row['paper']), name
        # mim prints one line a field, which a mapping cannot be.
        assert not [field for field, value in row.items() if isinstance(value, dict)], name
    assert '2207.04415 (SFNet: Faster and Accurate' in fields['sfnet_lite_stdc1_uds']['paper']
    assert 'Pyramid Scene Parsing Network' in fields['pspnet_r50_idd']['paper']


# Counted with other tools by those who published the networks: parameters, and multiply-adds in 1e9
# at 1024x2048 with what their counters add for other layers.
PUBLISHED = {
    'configs/sfnet_r18_cityscapes.py': (12_870_000, None),
    'configs/sfnet_stdc1_cityscapes.py': (5_992_000, 59.4),
    'configs/sfnet_lite_stdc2_cityscapes.py': (10_464_000, 100.5),
    'configs/baselines/dfseg_df1_cityscapes.py': (9_371_000, None),
    'configs/baselines/stdcseg_stdc1_cityscapes.py': (8_300_000, 67.5),
    'configs/baselines/bisenetv2_camvid360.py': (3_400_000, None),
    'configs/baselines/pidnet_s_camvid360.py': (7_700_000, None),
    'configs/baselines/ddrnet_23_slim_camvid360.py': (5_700_000, None),
}


@pytest.mark.parametrize('config', PUBLISHED)
def test_counts_are_the_published_ones(config):
    with open(osp.join(ROOT, 'docs', 'benchmarks', 'complexity.json'), encoding='utf-8') as file:
        counted = json.load(file)[config]
    parameters, multiply_adds = PUBLISHED[config]
    assert counted['parameters'] == pytest.approx(parameters, rel=0.02)
    if multiply_adds:
        assert counted['input'] == '1024x2048'
        assert counted['multiply_adds'] == pytest.approx(multiply_adds * 1e9, rel=0.01)


def test_stored_counts_are_those_of_the_networks(zoo):
    models = {m['Config']: m for m in zoo.read_models()}
    with open(osp.join(ROOT, zoo.COMPLEXITY), encoding='utf-8') as file:
        stored = json.load(file)
    for config in (
        'configs/sfnet_df1_cityscapes.py',
        'configs/baselines/bialign_df2_uds.py',
        'configs/ablation/sfnet_lite_r18_dcn_cityscapes.py',
    ):
        assert zoo.count([models[config]])[config] == stored[config]


def test_only_runs_are_called_measured(zoo):
    model = {
        'Name': 'a',
        'Config': 'configs/a.py',
        'Metadata': {'Training Data': 'UDS'},
        'Published': {'mIoU': 70.1},
    }
    counts = {'configs/a.py': {'parameters': 1234567, 'multiply_adds': 2.5e9, 'input': '4x8'}}
    row = zoo.cells(model, counts)
    assert row == [
        '[a](../configs/a.py)',
        'UDS',
        '1.23',
        '',
        '2.5 @ 4x8',
        '',
        '70.1 test',
        '',
        'not run',
    ]
    model['Results'] = [{'Dataset': 'UDS', 'Metrics': {'mIoU': 69.5}, 'Note': 'H100, 2025-01'}]
    assert zoo.cells(model, counts)[-1] == '69.5 (H100, 2025-01)'
