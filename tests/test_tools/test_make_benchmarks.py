"""Tables of the benchmark pages against numbers worked out by hand."""

import importlib.util
import json
import os.path as osp

import pytest
from helpers import ROOT


@pytest.fixture
def tool(monkeypatch, tmp_path):
    path = osp.join(ROOT, 'tools', 'analysis_tools', 'make_benchmarks.py')
    spec = importlib.util.spec_from_file_location('make_benchmarks', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'GENERALISATION', str(tmp_path / 'generalisation.json'))
    return module


def run_of(name, seed, scores):
    budget = dict(iters=100, batch_size=4, lr=0.05)
    return dict(
        name=name,
        seed=seed,
        budget=budget,
        device='a CPU',
        date='today',
        per_source=scores,
        flow_px={},
        per_class={'road': 1.0},
    )


def test_generalisation_leaves_the_training_source_out_of_the_mean(tool, tmp_path):
    runs = [
        run_of('fpn_city2miniuds', 0, dict(cityscapes=50.0, idd=30.0, bdd=10.0)),
        run_of('fpn_city2miniuds', 1, dict(cityscapes=52.0, idd=34.0, bdd=14.0)),
    ]
    (tmp_path / 'from_cityscapes').mkdir()
    (tmp_path / 'from_cityscapes' / 'results.json').write_text(json.dumps({'fpn': runs}))
    tool.collect(str(tmp_path))
    # Standard deviations of (50, 52), (30, 34), (10, 14) and of the means (20, 24).
    row = '| cityscapes | fpn | 2 | (51.0 ± 1.4) | 32.0 ± 2.8 | 12.0 ± 2.8 | 22.0 ± 2.8 |'
    assert row in tool.generalisation()
    text = tool.with_generalisation(f'before\n{tool.BEGIN}\nold\n{tool.END}\nafter\n')
    assert row in text and 'old' not in text
    assert text.startswith('before\n') and text.endswith('\nafter\n')


def test_collecting_nothing_is_an_error(tool, tmp_path):
    with pytest.raises(SystemExit, match='has no from_SOURCE/results.json'):
        tool.collect(str(tmp_path))


def test_pages_of_the_repository_are_up_to_date(tool, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr('sys.argv', ['make_benchmarks.py', '--check'])
    tool.main()


def test_alignment_is_compared_with_fpn_ppm(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'ALIGNMENT', str(tmp_path / 'camvid_alignment.json'))
    page = '# Page\n<!-- alignment: begin -->\nold\n<!-- alignment: end -->\nend\n'
    assert '\nNot measured.\n' in tool.with_alignment(page)

    def run(name, seed, miou):
        return dict(
            run_of(name, seed, {}),
            budget=dict(iters=100, batch_size=4, optimizer='adamw', amp=True, backbone_lr_mult=0.5),
            mIoU=miou,
            bIoU=miou - 20,
            per_class_bIoU={'road': 2.0},
            parameters=3_000_000,
            final_loss=1.0,
            milliseconds_per_iteration=9.0,
        )

    rows = {
        'fpn_ppm_efflite0_camvid360': [run('fpn', 0, 60.0), run('fpn', 1, 61.0)],
        'sfnet_efflite0_camvid360': [run('sfnet', 0, 62.0), run('sfnet', 1, 64.0)],
    }
    (tmp_path / 'camvid_alignment.json').write_text(json.dumps(rows))
    text = tool.with_alignment(page)
    # Differences of 2 and 3: 2.5 with a standard error of 0.5, times 12.706.
    assert '| sfnet_efflite0_camvid360 | 2 | 63.00 ± 1.41 | 43.00 ± 1.41 | +2.50 ± 6.35 |' in text
    assert '100 iterations of batch 4, AdamW with lr 0.001, the backbone with 0.5 times' in text
    assert 'old' not in text and text.endswith('end\n')
