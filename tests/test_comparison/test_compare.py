"""The comparison of configs under one budget."""

import json
import os
import os.path as osp
import shutil
import time
import zipfile
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT, run_tool
from mmcv import imwrite

from sfnet_mm.comparison.jobs import JOB, Job, check_budget, progress, run_jobs
from sfnet_mm.comparison.settings import Budget, Resources
from sfnet_mm.comparison.training import (
    PROGRESS,
    finished,
    iterations_done,
    last_checkpoint,
    train,
)
from sfnet_mm.compat import host_family
from sfnet_mm.utils.tooling import write_text

TOOL = 'analysis_tools/compare'
CONFIGS = ['configs/ablation/fpn_ppm_efflite0_camvid360.py', 'configs/sfnet_efflite0_camvid360.py']


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    """Pictures whose upper half is sky and whose lower half is road."""
    root = tmp_path_factory.mktemp('camvid')
    for split, images in (('train', 6), ('val', 2), ('test', 2)):
        for i in range(images):
            mask = np.zeros((48, 64), np.uint8)
            mask[24:] = 3
            image = np.where(mask[..., None] == 0, [230, 140, 90], [60, 60, 60]).astype(np.uint8)
            imwrite(mask, root / 'annotations' / split / f'{i}.png')
            imwrite(image, root / 'images' / split / f'{i}.png')
    return root


def run_here(job, budget, resources, deadline):
    write_text(osp.join(job.work_dir, JOB), json.dumps(dict(budget=asdict(budget))))
    train(job.config, budget, resources, job.seed, job.work_dir)
    return SimpleNamespace(pid=job.config, poll=lambda: 0, returncode=0)


@pytest.mark.slow
def test_runs_are_trained_scored_tabled_and_not_repeated(camvid, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    work_dir = tmp_path / 'out'
    numbers = '--iters 20 --batch-size 2 --crop 32 32 --workers 0 --threads 1 --jobs 2'
    options = [*CONFIGS, *numbers.split(), '--data-root', camvid, '--work-dir', work_dir]
    options += ['--baseline', 'fpn_ppm_efflite0_camvid360']
    # The runs, which are processes elsewhere, are in this one.
    monkeypatch.setattr(Job, 'start', run_here)
    run_tool(TOOL, *options)
    results = json.loads((work_dir / 'results.json').read_text())
    assert set(results) == {'fpn_ppm_efflite0_camvid360', 'sfnet_efflite0_camvid360'}
    base, sfnet = (results[k][0] for k in sorted(results))
    for metric, values in (('mIoU', 'per_class'), ('bIoU', 'per_class_bIoU')):
        assert 0 <= base[metric] <= 100 and set(base[values]) >= {'sky', 'road'}
    # Three FAMs of 64 channels: two 1x1 convolutions to 32 and one 3x3 to 2.
    assert sfnet['parameters'] - base['parameters'] == 3 * (2 * 64 * 32 + 64 * 2 * 9)
    assert base['flow_px'] == {} and len(sfnet['flow_px']) == 3
    assert base['milliseconds_per_iteration'] > 0
    table = (work_dir / 'table.md').read_text()
    assert '| sfnet_efflite0_camvid360 | 1 |' in table and '| IoU | sky |' in table
    assert (work_dir / 'plot.png').stat().st_size > 1000
    capsys.readouterr()
    run_tool(TOOL, *options)
    assert capsys.readouterr().out.count('done before') == 2
    run_tool(TOOL, *options, '--report-only', '--time', 2)
    times = json.loads((work_dir / 'times.json').read_text())
    assert set(times) == set(results) and min(times.values()) > 0
    for name, (run,) in json.loads((work_dir / 'results.json').read_text()).items():
        assert run['milliseconds_per_iteration'] == times[name]
    # Another budget is another comparison.
    with pytest.raises(SystemExit, match='^error: no run is finished'):
        run_tool(TOOL, *options, '--lr', 0.02, '--report-only')
    with pytest.raises(SystemExit, match=r'other settings \(lr\): choose another --work-dir'):
        run_tool(TOOL, *options, '--lr', 0.02)


BUDGET = Budget(iters=20, batch_size=2, crop=(32, 32), lr=0.02)


def scores(folder):
    """What a run learned, without its times."""
    result = finished(str(folder), BUDGET)
    return {
        k: v
        for k, v in result.items()
        if k not in ('milliseconds_per_iteration', 'milliseconds_waiting_for_data')
    }


@pytest.mark.skipif(
    host_family() == 'OneDL',
    reason='onedl-mmengine resumes without replaying the augmentations of the data it skips',
)
@pytest.mark.slow
def test_killed_and_failing_runs(camvid, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    resources = Resources(str(camvid), workers=0, checkpoint_interval=8)
    config = CONFIGS[1]
    killed = Job(config, 1, str(tmp_path / 'killed'))
    process = killed.start(BUDGET, resources, None)
    while process.poll() is None and not last_checkpoint(killed.work_dir):
        time.sleep(0.01)
    process.kill()
    assert process.wait() < 0 and not finished(killed.work_dir, BUDGET)
    assert 0 < iterations_done(killed.work_dir) < BUDGET.iters
    # A checkpoint that was being written.
    (tmp_path / 'killed' / 'iter_19.pth').write_bytes(b'PK\x03\x04 cut off')
    (tmp_path / 'broken.py').write_text(
        f'_base_ = {str(osp.join(ROOT, config))!r}\nmodel = dict(decode_head=dict(channels=-1))\n'
    )
    broken = Job(str(tmp_path / 'broken.py'), 1, str(tmp_path / 'broken'))
    start = Job.start
    # Only the broken run is a process, too: to start one takes longer than these iterations.
    monkeypatch.setattr(
        Job, 'start', lambda job, *a: (start if job is broken else run_here)(job, *a)
    )
    (failure,) = run_jobs([broken, killed], BUDGET, resources, at_once=2)
    assert failure.startswith('broken, seed 1: ') and 'Error' in failure
    # The run that was killed learned what one without a break does, in this process.
    train(config, BUDGET, resources, 1, str(tmp_path / 'whole'))
    assert scores(tmp_path / 'killed') == scores(tmp_path / 'whole')
    logs = [path.read_text() for path in (tmp_path / 'killed').rglob('*.log')]
    assert any('Advance dataloader' in text for text in logs)
    with pytest.raises(ValueError, match=r'killed has a run with other settings \(iters\)'):
        check_budget([killed], Budget(**{**asdict(BUDGET), 'iters': 21}))


@pytest.mark.slow
def test_a_run_whose_time_is_over_goes_on_later(camvid, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    resources = Resources(str(camvid), workers=0)
    run = CONFIGS[0], BUDGET, resources, 0, str(tmp_path)
    train(*run, deadline=time.time())
    assert iterations_done(str(tmp_path)) == 1 and not finished(str(tmp_path), BUDGET)
    # So does one whose parent has ended.
    train(*run, parent=os.getppid() + 1)
    assert osp.basename(last_checkpoint(str(tmp_path))) == 'iter_2.pth'
    train(*run)
    result = (tmp_path / 'result.json').read_text()
    # Where only the score is missing nothing is trained.
    (tmp_path / 'result.json').unlink()
    monkeypatch.setattr('mmengine.runner.IterBasedTrainLoop.run', None)
    train(*run)
    assert (tmp_path / 'result.json').read_text() == result


def test_no_run_is_started_after_the_end(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(Job, 'start', lambda *a: started.append(a))
    job = Job(CONFIGS[0], 0, str(tmp_path))
    assert run_jobs([job], BUDGET, Resources(), at_once=1, minutes=1e-9) == []
    assert not started


def test_iterations_after_the_last_checkpoint_of_a_killed_run_are_not_done(tmp_path, monkeypatch):
    monkeypatch.setattr(Job, 'start', lambda *a: None)
    job = Job(CONFIGS[0], 0, str(tmp_path))
    (tmp_path / PROGRESS).write_text('18')
    for checkpoint, done in ((None, 0), ('iter_15.pth', 15)):
        if checkpoint:
            with zipfile.ZipFile(tmp_path / checkpoint, 'w'):
                pass
            (tmp_path / PROGRESS).write_text('18')
        run_jobs([job], BUDGET, Resources(), at_once=1, minutes=1e-9)
        assert iterations_done(str(tmp_path)) == done


@pytest.mark.parametrize('folder', ['images/val', 'annotations/train'])
def test_missing_data_are_named_before_any_run(camvid, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Job, 'start', None)
    shutil.copytree(camvid, tmp_path / 'half')
    shutil.rmtree(tmp_path / 'half' / folder)
    options = ['--data-root', tmp_path / 'half', '--work-dir', tmp_path / 'out']
    with pytest.raises(SystemExit) as error:
        run_tool(TOOL, *CONFIGS, *options)
    (line,) = str(error.value).splitlines()
    assert f'{folder.split("/")[1]}_dataloader: ' in line and folder.split('/')[0] in line


def test_progress_and_time_left():
    # 300 of 900 in 10 minutes: the other 600 take 20.
    assert progress(900, 600, 4, 600) == (
        '300 of 900 iterations, 4 running, 10 min, about 20 min left'
    )
    assert progress(900, 900, 4, 5).endswith('starting')


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([CONFIGS[0], 'configs/sfnet_r18_uds.py'], 'different data sets'),
        ([CONFIGS[0], CONFIGS[0]], 'named twice'),
        (['configs/absent.py'], 'does not exist'),
        ([*CONFIGS, '--baseline', 'x'], '--baseline x is none of'),
        ([*CONFIGS, '--cfg-options', 'a'], "--cfg-options takes key=value, not 'a'"),
        ([*CONFIGS, '--iters', '3'], '--iters must be 20 or more'),
        ([*CONFIGS, '--jobs', '0'], '--jobs 0 must be positive'),
        ([*CONFIGS, '--warmup', '-1'], '--warmup -1 must be 0 or more'),
        ([*CONFIGS, '--iters', '30', '--warmup', '30'], 'below --iters 30'),
        ([*CONFIGS, '--min-kept', '4.8'], '--min-kept 4.8 is a share'),
        ([*CONFIGS, '--seeds', '0', '-1'], '--seeds must be 0 or more'),
        ([*CONFIGS, '--crop', '0', '64'], '--crop must be positive'),
        ([*CONFIGS, '--speed', 'absent.json'], 'absent.json does not exist'),
        ([*CONFIGS, '--speed', 'setup.py'], 'setup.py is not a JSON file'),
        (
            [*CONFIGS, '--speed', 'docs/benchmarks/complexity.json'],
            'not written by benchmark.py --out',
        ),
        (
            [*CONFIGS, '--speed', 'docs/benchmarks/speed_cpu_panoptic.json'],
            'times of several backends',
        ),
    ],
)
def test_errors(monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as error:
        run_tool(TOOL, *arguments)
    assert message in str(error.value) + capsys.readouterr().err
