"""Tables of the benchmark pages against numbers worked out by hand."""

import json
import os.path as osp
import shutil

import pytest
from helpers import ROOT, load_tool, run_tool

from sfnet_mm.benchmark.models import Entry
from sfnet_mm.benchmark.pages import precision_table, warp_forms_line
from sfnet_mm.comparison.generalization import collect_runs, generalization_table

TOOL = 'analysis_tools/make_benchmarks'


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


def test_generalization_leaves_the_training_source_out_of_the_mean(tmp_path):
    runs = [
        run_of('fpn_city2miniuds', 0, dict(cityscapes=50.0, idd=30.0, bdd=10.0)),
        run_of('fpn_city2miniuds', 1, dict(cityscapes=52.0, idd=34.0, bdd=14.0)),
    ]
    (tmp_path / 'from_cityscapes').mkdir()
    (tmp_path / 'from_cityscapes' / 'results.json').write_text(json.dumps({'fpn': runs}))
    # Standard deviations of (50, 52), (30, 34), (10, 14) and of the means (20, 24).
    row = '| cityscapes | fpn | 2 | (51.0 ± 1.4) | 32.0 ± 2.8 | 12.0 ± 2.8 | 22.0 ± 2.8 |'
    assert generalization_table(collect_runs(str(tmp_path))).splitlines()[-1] == row


def test_collecting_nothing_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match='^error: .*has no from_SOURCE/results.json'):
        run_tool(TOOL, '--collect', tmp_path)


def test_pages_of_the_repository_are_up_to_date():
    run_tool(TOOL, '--check')


def test_alignment_is_compared_with_fpn_ppm(tmp_path, monkeypatch):
    monkeypatch.setattr(load_tool(TOOL), 'DOCS', tmp_path)
    page = '# Page\n<!-- {0}: begin -->\nold\n<!-- {0}: end -->\nend\n'
    (tmp_path / 'robustnet.md').write_text(page.format('generalization'))
    marks = ''.join(map(page.format, ('alignment', 'recipe', 'strides')))
    (tmp_path / 'experiments.md').write_text(marks)
    marks = page.format('precision') + page.format('forms of the warp')
    (tmp_path / 'deployment.md').write_text(marks)
    (tmp_path / 'benchmarks').mkdir()
    speed = osp.join(ROOT, 'docs', 'benchmarks', 'speed_cpu_camvid360.json')
    shutil.copy(speed, tmp_path / 'benchmarks')
    run_tool(TOOL)
    assert '\nNot measured.\n' in (tmp_path / 'experiments.md').read_text()

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
    (tmp_path / 'benchmarks' / 'camvid_alignment.json').write_text(json.dumps(rows))
    with pytest.raises(SystemExit, match='^error: docs/experiments.md is out of date'):
        run_tool(TOOL, '--check')
    run_tool(TOOL)
    text = (tmp_path / 'experiments.md').read_text()
    # Differences of 2 and 3: 2.5 with a standard error of 0.5, times 12.706.
    assert '| sfnet_efflite0_camvid360 | 2 | 63.00 ± 1.41 | 43.00 ± 1.41 | +2.50 ± 6.35 |' in text
    assert '100 iterations of batch 4, AdamW with lr 0.001, the backbone with 0.5 times' in text
    assert '| multiply-adds (G) | openvino (ms) |' in text
    assert 'old' not in text and text.endswith('end\n')


def test_tables_of_deployment():
    header = dict(date='today', size='8x9', device='a CPU', checkpoint='w.pth', samples=7, rounds=3)
    full = Entry('sfnet', 'openvino', 1, 1, [6.0, 4.0, 8.0], 0, '', '', 71.88, 59.91, 14.2)
    # By rounds 3, 1 and 4 times as fast; 8 / 2 is not the ratio of the medians.
    small = Entry('sfnet', 'openvino@int8', 1, 1, [2.0, 4.0, 2.0], 0, '', '', 72.1, None, 4.8)
    lines = precision_table(dict(header, entries=[full.to_dict(), small.to_dict()])).splitlines()
    assert '`sfnet` with `w.pth`' in lines[0] and 'at 8x9 (a CPU, today)' in lines[0]
    assert '3 interleaved rounds. 7 training images' in lines[0]
    assert lines[-2] == '| `openvino`, float32 | 14.2 | 71.88 | 59.91 | 1.00 |'
    assert lines[-1] == '| `openvino`, INT8 | 4.8 | 72.10 | - | 3.00 |'
    runs = [(2e-6, 1.0), (3e-7, 0.9999)]
    forms = {
        f'{i} 97x161': dict(
            samplers=2, opset=13, onnxruntime=dict(difference=difference, agreement=agreement)
        )
        for i, (difference, agreement) in enumerate(runs)
    }
    line = warp_forms_line({**forms, 'fpn 97x161': dict(samplers=0)})
    assert 'Of 2 networks' in line and 'at most 2e-06' in line and '99.99%' in line
