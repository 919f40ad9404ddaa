import json
from pathlib import Path

import pytest
import torch.distributed as dist
from helpers import ROOT, run_tool

from sfnet_mm.benchmark import two_processes, warp_program
from sfnet_mm.benchmark.gpu_steps import Plan, make_steps
from sfnet_mm.ops import has_ext


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_every_step_names_files_that_exist(device, tmp_path):
    steps = make_steps(Plan(device, str(tmp_path), camvid='data/camvid'))
    names = [s.name for s in steps]
    assert len(set(names)) == len(names)
    assert {'build', 'tests', 'memcheck', 'ops', 'networks', 'training'} <= set(names)
    for step in steps:
        for word in ' '.join(step.command).split():
            if word.startswith(('configs/', 'tools/')):
                assert Path(ROOT, word).is_file(), f'{step.name}: {word}'
        assert 0 < step.limit <= 480


def test_a_rehearsal_is_not_published(tmp_path):
    report = tmp_path / 'report.json'
    report.write_text(json.dumps([{'name': 'ops', 'result': {'kind': 'cpu'}}]))
    with pytest.raises(SystemExit, match='^error: .* it is a rehearsal on a CPU$'):
        run_tool('analysis_tools/gpu_report', '--publish', report)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(capsys):
    two_processes.main(['--device', 'cpu'])
    assert 'same weights' in capsys.readouterr().out


def test_a_process_that_sees_half_of_the_batch_alone_is_noticed(monkeypatch, tmp_path):
    begin = dist.init_process_group
    monkeypatch.setattr(
        dist,
        'init_process_group',
        lambda *args, **options: begin(*args, **(options | dict(world_size=1))),
    )
    head = two_processes.make_head('cpu')
    two_processes.step(head, two_processes.batch('cpu'))
    try:
        with pytest.raises(AssertionError, match='not close'):
            two_processes.work(0, tmp_path / 'store', 'cpu', list(head.parameters()))
    finally:
        dist.destroy_process_group()


@pytest.mark.skipif(not has_ext(), reason='the flow warp is not compiled: make install-ops')
def test_the_sanitized_program_checks_its_results(monkeypatch, capsys):
    warp_program.main(['--device', 'cpu'])
    assert 'torch.float16' in capsys.readouterr().out
    warp = warp_program.gated_dual_flow_warp
    monkeypatch.setattr(
        warp_program,
        'gated_dual_flow_warp',
        lambda *args, backend: warp(*args, backend=backend) * (1.2 if backend == 'ext' else 1),
    )
    with pytest.raises(SystemExit, match='error: .*off by'):
        warp_program.main(['--device', 'cpu'])
