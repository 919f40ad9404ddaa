import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfnet_mm.benchmark.gpu_summary import summary
from sfnet_mm.benchmark.steps import Step, run_steps

ROOT = Path(__file__).resolve().parents[2]
# Appends a line to a file, then ends with an exit status or sleeps.
PROGRAM = (
    'import sys, time; open(sys.argv[1], "a").write("x"); '
    'time.sleep(float(sys.argv[3])); sys.exit(int(sys.argv[2]))'
)


def step(name, log, code=0, seconds=0.0, limit=60, **kwargs):
    command = [sys.executable, '-c', PROGRAM, str(log), str(code), str(seconds)]
    return Step(name, f'title of {name}', command, limit, **kwargs)


def runs(log):
    return len(log.read_text()) if log.exists() else 0


def test_failing_steps_are_repeated_and_stop_no_other(tmp_path):
    log = {name: tmp_path / name for name in 'abc'}
    steps = [step('a', log['a']), step('b', log['b'], code=3), step('c', log['c'])]
    for turn in (1, 2):
        records = run_steps(steps, str(tmp_path / 'report'), 'key')
        assert [r['status'] for r in records] == ['passed', 'failed', 'passed']
        assert [runs(log[name]) for name in 'abc'] == [1, turn, 1]
    assert 'exit status 3' in records[1]['reason']
    # Other sources or another device: everything is made again.
    run_steps(steps, str(tmp_path / 'report'), 'another key')
    assert [runs(log[name]) for name in 'abc'] == [2, 3, 2]


def shell(name, text, **kwargs):
    return Step(name, name, ['sh', '-c', text], 60, **kwargs)


def test_steps_at_once_begin_after_the_one_that_is_awaited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wait = '[ -e built ]; touch {}; until [ -e {} ]; do sleep 0.05; done'
    steps = [
        shell('build', 'sleep 0.3; [ ! -e a ] && touch built', awaited=True),
        shell('first', f'set -e; {wait.format("a", "b")}'),
        shell('absent', 'true', needs='no-such-program'),
        shell('second', f'set -e; {wait.format("b", "a")}'),
    ]
    records = run_steps(steps, 'report', 'key', at_once=2)
    assert [r['name'] for r in records] == ['build', 'first', 'absent', 'second']
    assert [r['status'] for r in records] == ['passed', 'passed', 'not available', 'passed']


def test_ctrl_c_ends_the_steps_that_run(tmp_path, monkeypatch):
    def interrupt(records):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    steps = [
        shell('a', 'until [ -e pid ]; do sleep 0.05; done'),
        shell('b', 'echo $$ > new; mv new pid; exec sleep 60'),
        shell('c', 'exec sleep 60'),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_steps(steps, 'report', 'key', interrupt, at_once=2)
    assert not Path('/proc', Path('pid').read_text().strip()).exists()


def test_a_step_is_stopped_at_its_limit_with_what_it_started(tmp_path):
    pid = tmp_path / 'pid'
    shell = f'sleep 60 & echo $! > {pid}; wait'
    record = run_steps([Step('slow', 'slow', ['sh', '-c', shell], 1)], str(tmp_path), 'key')[0]
    assert record['status'] == 'timed out' and 1 <= record['seconds'] < 30
    child = Path('/proc') / pid.read_text().strip() / 'stat'

    def gone():
        """Killed; it may still wait to be reaped."""
        try:
            return child.read_text().split()[2] == 'Z'
        except (FileNotFoundError, ProcessLookupError):
            return True

    deadline = time.time() + 30
    while not gone() and time.time() < deadline:
        time.sleep(0.05)
    assert gone()


def test_a_step_killed_half_way_is_repeated(tmp_path):
    log = [tmp_path / 'first', tmp_path / 'second']
    script = (
        f'import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n'
        'from test_steps import step, run_steps\n'
        f'steps = [step("a", {str(log[0])!r}), step("b", {str(log[1])!r}, seconds=60)]\n'
        f'run_steps(steps, {str(tmp_path)!r}, "key")\n'
    )
    process = subprocess.Popen([sys.executable, '-c', script], start_new_session=True)
    deadline = time.time() + 120
    while not runs(log[1]) and time.time() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert runs(log[1]) == 1
    records = run_steps([step('a', log[0]), step('b', log[1])], str(tmp_path), 'key')
    assert [r['status'] for r in records] == ['passed', 'passed']
    assert [runs(path) for path in log] == [1, 2]


def test_results_and_missing_programs(tmp_path):
    def read(folder):
        return json.loads((Path(folder) / 'out.json').read_text())

    (tmp_path / 'out.json').write_text('{"tests": 5, "failures": 0}')
    steps = [
        step('tests', tmp_path / 'a', read=read),
        step('absent', tmp_path / 'b', needs='no-such-program'),
        step('broken', tmp_path / 'c', read=lambda folder: read(Path(folder) / 'nowhere')),
    ]
    records = run_steps(steps, str(tmp_path), 'key')
    assert [r['status'] for r in records] == ['passed', 'not available', 'failed']
    assert records[0]['result'] == {'tests': 5, 'failures': 0}
    assert runs(tmp_path / 'b') == 0
    page = summary(records)
    assert 'not available: no-such-program is not installed' in page
    assert 'Tests: tests 5, failures 0.' in page
