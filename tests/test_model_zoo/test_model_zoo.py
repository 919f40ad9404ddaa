"""The model zoo: complete, up to date, and its counts right."""

import json
import os.path as osp
import re

import numpy as np
import pytest
import yaml
from helpers import ROOT, config_paths, read_text, run_tool

from sfnet_mm.model_zoo.counts import COMPLEXITY, count
from sfnet_mm.model_zoo.metafiles import results_text

TOOL = 'analysis_tools/make_model_zoo'
PAGE = 'docs/model_zoo.md'


def stored_counts():
    return json.loads(read_text(COMPLEXITY))


def test_page_is_up_to_date():
    run_tool(TOOL, '--check')


def test_every_config_is_on_the_page():
    linked = set(re.findall(r'\]\(\.\./(configs/[^)]*)\)', read_text(PAGE)))
    assert set(config_paths()) == linked, sorted(set(config_paths()) ^ linked)


def test_metafiles_are_what_mim_reads():
    collections, models = [], []
    for path in yaml.safe_load(read_text('model-index.yml'))['Import']:
        content = yaml.safe_load(read_text(path))
        collections += [c['Name'] for c in content.get('Collections', [])]
        models += content['Models']
    assert len(collections) == len(set(collections))
    names = [m['Name'] for m in models]
    assert len(names) == len(set(names))
    for model in models:
        assert model['In Collection'] in collections
        assert osp.basename(model['Config']) == model['Name'] + '.py'
        assert osp.isfile(osp.join(ROOT, model['Config']))
    assert sorted(config_paths()) == sorted(m['Config'] for m in models)


def test_mim_search_shows_papers_as_address_and_title():
    search = pytest.importorskip('mim.commands.search')
    fields = search.convert2df(search.load(osp.join(ROOT, 'model-index.yml'))).T
    address = r'https://(arxiv\.org/abs/\d{4}\.\d{4,5}|ieeexplore\.ieee\.org/document/\d+)'
    for name, row in fields.items():
        assert re.fullmatch(address + r' \([^()]+\)', row['paper']), name
        # mim prints one line a field, which a mapping cannot be.
        assert not [field for field, value in row.items() if isinstance(value, dict)], name
    assert '2207.04415 (SFNet: Faster and Accurate' in fields['sfnet_lite_stdc1_uds']['paper']
    assert 'Pyramid Scene Parsing Network' in fields['pspnet_r50_idd']['paper']


# Counted with other tools by those who published the networks: parameters, and multiply-adds in 1e9
# at 1024x2048 with what their counters add for other layers.
PUBLISHED = {
    'sfnet_r18_cityscapes': (12_870_000, None),
    'sfnet_stdc1_cityscapes': (5_992_000, 59.4),
    'sfnet_lite_stdc2_cityscapes': (10_464_000, 100.5),
    'dfseg_df1_cityscapes': (9_371_000, None),
    'stdcseg_stdc1_cityscapes': (8_300_000, None),
    'bisenetv2_cityscapes': (3_400_000, None),
    'erfnet_cityscapes': (2_070_000, None),
    'ddrnet_23_slim_cityscapes': (5_700_000, 36.3),
    # ResNet-50 23.508 M, FPN 3.344 M, heads of K-Net 4.456 M and 6.228 M.
    'knet_r50_coco': (37_536_000, None),
}


@pytest.mark.parametrize('config', PUBLISHED)
def test_counts_are_the_published_ones(config):
    counted = stored_counts()[config]
    parameters, multiply_adds = PUBLISHED[config]
    assert counted['parameters'] == pytest.approx(parameters, rel=0.02)
    if multiply_adds:
        assert counted['multiply_adds']['1024x2048'] == pytest.approx(multiply_adds * 1e9, rel=0.01)


@pytest.mark.parametrize(
    'config',
    [
        'configs/sfnet_df1_cityscapes.py',
        'configs/baselines/pspnet_r50_mapillary.py',
        'configs/ablation/sfnet_r18_dcn_f5_cityscapes.py',
        'configs/ablation/sfnet_lite_r18_attentiongates_cityscapes.py',
        'configs/robustnet/isw_sfnet_r18_city2uds.py',
        'configs/panoptic/sfnet_knet_stdc1_minicityscapes.py',
    ],
)
def test_stored_counts_are_those_of_the_networks(config):
    if 'panoptic' in config:
        pytest.importorskip('mmdet')
    stored = stored_counts()[osp.basename(config)[: -len('.py')]]
    sizes = sorted(stored['multiply_adds'])
    assert count(osp.join(ROOT, config), sizes) == stored


def test_only_runs_are_called_measured():
    assert results_text({'Name': 'a'}) == '' == results_text(None)
    run = {'Dataset': 'UDS', 'Metrics': {'mIoU': 69.5, 'bIoU': 50.1}, 'Note': 'H100, 2025-01'}
    assert results_text({'Results': [run]}) == '69.5 (bIoU 50.1, H100, 2025-01)'


def test_a_comparison_is_no_result_and_says_its_seeds():
    page = read_text(PAGE)
    runs = json.loads(read_text('docs/benchmarks/camvid_alignment.json'))[
        'fpn_ppm_efflite0_camvid360'
    ]
    scores = [run['mIoU'] for run in runs]
    text = (
        f'{np.mean(scores):.2f} ± {np.std(scores, ddof=1):.2f} (compared, val, {len(runs)} seeds)'
    )
    (row,) = [
        line for line in page.splitlines() if line.startswith('| [fpn_ppm_efflite0_camvid360]')
    ]
    assert row.endswith(f'| {text} |')
    assert text not in read_text('README.md')


def test_the_shipped_weights_have_the_figures_of_their_card():
    means = r'\*\*mean\*\* \| \*\*([\d.]+)\*\* \| \*\*([\d.]+)'
    miou, biou = re.search(means, read_text('weights/README.md')).groups()
    for page in (PAGE, 'README.md'):
        lines = read_text(page).splitlines()
        (line,) = (s for s in lines if s.startswith('| [sfnet_efflite0_camvid360]'))
        assert f'{miou} (bIoU {biou}, measured here' in line
