"""The comparison of configs under one budget."""

import importlib.util
import json
import os.path as osp
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from sfnet_mm.comparison import prepare, table
from sfnet_mm.comparison.settings import walk

TOOL = osp.join(ROOT, 'tools', 'analysis_tools', 'compare.py')
CONFIGS = [
    'configs/ablation/fpn_ppm_stdc1_camvid360.py',
    'configs/ablation/sfnet_stdc1_camvid360.py',
]


@pytest.fixture(scope='module')
def compare():
    spec = importlib.util.spec_from_file_location('compare', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    """Pictures whose upper half is sky and whose lower half is road."""
    root = tmp_path_factory.mktemp('camvid')
    for split, images in (('train', 6), ('val', 2)):
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for i in range(images):
            mask = np.zeros((48, 64), np.uint8)
            mask[24:] = 3
            image = np.where(mask[..., None] == 0, [90, 140, 230], [60, 60, 60]).astype(np.uint8)
            Image.fromarray(mask).save(root / 'annotations' / split / f'{i}.png')
            Image.fromarray(image).save(root / 'images' / split / f'{i}.png')
    return root


def call(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], cwd=cwd, text=True, capture_output=True
    )


@pytest.mark.slow
def test_runs_are_trained_scored_tabled_and_not_repeated(camvid, tmp_path):
    work_dir = tmp_path / 'out'
    options = [
        *CONFIGS,
        '--iters',
        20,
        '--batch-size',
        2,
        '--crop',
        32,
        32,
        '--data-root',
        camvid,
        '--work-dir',
        work_dir,
        '--workers',
        0,
        '--threads',
        1,
        '--baseline',
        'fpn_ppm_stdc1_camvid360',
    ]
    first = call(*options)
    assert first.returncode == 0, first.stdout + first.stderr
    results = json.loads((work_dir / 'results.json').read_text())
    assert set(results) == {'fpn_ppm_stdc1_camvid360', 'sfnet_stdc1_camvid360'}
    base, sfnet = (results[k][0] for k in sorted(results))
    assert 0 <= base['mIoU'] <= 100 and set(base['per_class']) >= {'sky', 'road'}
    # Three FAMs of 64 channels: two 1x1 convolutions to 32 and one 3x3 to 2.
    assert sfnet['parameters'] - base['parameters'] == 3 * (2 * 64 * 32 + 64 * 2 * 9)
    assert base['flow_px'] == {} and len(sfnet['flow_px']) == 3
    assert base['milliseconds_per_iteration'] > 0
    table = (work_dir / 'table.md').read_text()
    assert '| sfnet_stdc1_camvid360 | 1 |' in table and '| IoU | sky |' in table
    assert (work_dir / 'plot.png').stat().st_size > 1000
    again = call(*options)
    assert again.stdout.count('done before') == 2
    timed = call(*options, '--report-only', '--time', 2)
    assert timed.returncode == 0, timed.stdout + timed.stderr
    times = json.loads((work_dir / 'times.json').read_text())
    assert set(times) == set(results) and min(times.values()) > 0
    for name, (run,) in json.loads((work_dir / 'results.json').read_text()).items():
        assert run['milliseconds_per_iteration'] == times[name]
    # Another budget is another comparison.
    other = call(*options, '--lr', 0.02, '--minutes', 0.0001, '--report-only')
    assert other.returncode and 'no run is finished' in other.stderr


def test_settings_are_the_same_for_all(compare, tmp_path, monkeypatch):
    argv = ['compare.py', *CONFIGS, '--iters', '100', '--batch-size', '4', '--crop', '64', '96']
    monkeypatch.setattr(sys, 'argv', argv)
    args = compare.parse_args()
    configs = [osp.join(ROOT, c) for c in CONFIGS]
    configs += [
        osp.join(ROOT, f'configs/baselines/{n}_camvid360.py')
        for n in ('pidnet_s', 'ddrnet_23_slim', 'bisenetv2', 'stdcseg_stdc1')
    ]
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
        steps = cfg.train_dataloader.dataset.pipeline
        assert [s.crop_size for s in steps if s.type == 'RandomCrop'] == [(64, 96)]
        assert cfg.model.data_preprocessor.size == (64, 96)
        kept = {n['min_kept'] for n in walk(cfg.model) if 'min_kept' in n}
        assert kept <= {int(0.048 * 4 * 64 * 96)}


def result(name, seed, miou):
    return dict(
        name=name,
        seed=seed,
        mIoU=miou,
        parameters=2_000_000,
        final_loss=1.0,
        milliseconds_per_iteration=10.0,
        flow_px={},
        per_class={'sky': miou, 'car': 1.0},
        device='CPU',
        date='2025-01-01',
    )


def test_table_has_mean_spread_and_paired_difference(compare, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['compare.py', *CONFIGS, '--baseline', 'a'])
    args = compare.parse_args()
    rows = {
        'a': [result('a', 0, 50.0), result('a', 1, 54.0)],
        'b': [result('b', 0, 53.0), result('b', 1, 55.0), result('b', 2, 60.0)],
    }
    text = table(rows, compare.settings(args)[0], 'a')
    # b: mean of 53, 55, 60; against a by seed: 3 and 1.
    assert '| b | 3 | 56.00 ± 3.61 | 2.00 ± 1.41 | 2.00 |' in text
    assert '| a | 2 | 52.00 ± 2.83 |' in text
    assert text.index('| b |') < text.index('| a |')
    assert '| a | 52.0 | 1.0 |' in text


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([CONFIGS[0], 'configs/sfnet_r18_uds.py'], 'different data sets'),
        ([CONFIGS[0], CONFIGS[0]], 'named twice'),
        (['configs/absent.py'], 'does not exist'),
        ([*CONFIGS, '--baseline', 'x'], '--baseline x is none of'),
        ([*CONFIGS, '--iters', '3'], '--iters must be 20 or more'),
    ],
)
def test_errors(compare, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['compare.py', *arguments])
    with pytest.raises(SystemExit) as error:
        compare.main()
    assert message in str(error.value) + capsys.readouterr().err
