import json
from functools import partial

import pytest
import torch
from helpers import run_tool

from sfnet_mm.benchmark import warp_report
from sfnet_mm.benchmark.authors_composition import host_grid_gated_dual_warp
from sfnet_mm.benchmark.memory import peak_of_tensors
from sfnet_mm.benchmark.warps import time_in_turns
from sfnet_mm.ops import gated_dual_flow_warp
from sfnet_mm.utils import timer


def test_calls_take_turns_and_have_shortest_and_median_times(monkeypatch):
    now, order = [0.0], []
    monkeypatch.setattr(timer.time, 'perf_counter', lambda: now[0])
    seconds = {'a': iter([9, 3, 1, 2]), 'b': iter([9, 4, 4, 7])}

    def call(name):
        order.append(name)
        now[0] += next(seconds[name])

    times = time_in_turns(timer.Timer(), {name: partial(call, name) for name in 'ab'}, 3)
    assert times == {'a': {'min': 1e3, 'median': 2e3}, 'b': {'min': 4e3, 'median': 4e3}}
    assert ''.join(order) == 'abababab'


def test_peak_of_tensors_counts_what_is_held_at_once():
    # Two maps of a million floats are held at once, and one of them is the result.
    assert 8e6 <= peak_of_tensors(lambda: torch.ones(10**6) + 1, 'cpu') < 8.1e6


def test_composition_of_the_authors_is_the_warp():
    high, low = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 9, 13)
    flow, gate = torch.randn(2, 4, 9, 13), torch.rand(2, 1, 9, 13)
    for g in (gate, None):
        expected = gated_dual_flow_warp(high, low, flow, g, backend='native')
        got = host_grid_gated_dual_warp(high, low, flow, g)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_tool_times_every_way_that_was_asked_for(tmp_path, capsys):
    out = tmp_path / 'ops.json'
    args = '--device cpu --rounds 1 --sizes 512x1024 --dtypes float32 --ways native authors'
    run_tool('analysis_tools/benchmark_ops', *args.split(), '--out', out)
    rows = json.loads(out.read_text())['rows']
    kinds = {(r['module'], r['layout'], r['pass']) for r in rows}
    assert len(rows) == len(kinds) == 8
    assert all(set(r['ms']) == {'native', 'authors'} and r['floor_ms'] > 0 for r in rows)
    table = capsys.readouterr().out
    assert '| GD-FAM, 512x1024 | channels_last, float32 | backward |' in table
    assert 'GPU: not measured.' in table


def test_table_has_the_ratios_of_the_shortest_times():
    ms = {'native': {'min': 30.0, 'median': 40.0}, 'ext': {'min': 10.0, 'median': 11.0}}
    row = dict(module='FAM', input='512x1024', layout='NCHW', dtype='float32', floor_ms=5.0, ms=ms)
    row.update({'pass': 'forward', 'peak_mb': {'native': 20.0, 'ext': 10.0}})
    network = dict(config='net', size=[64, 128], form='NCHW')
    network['ms'] = {'native': {'min': 200.0}, 'ext': {'min': 150.0}}
    result = dict(device='GPU', kind='cuda', torch='2', date='today', rounds=3)
    training = dict(config='net', size=[64, 64], form='channels_last')
    training['ms'] = {'native': {'min': 120.0}, 'ext': {'min': 150.0}}
    networks = {'network': [network], 'training': [training]}
    text = warp_report.warp_tables([{**result, 'rows': [row], **networks}])
    cells = '- | - | 30 (20) | - | 10 (10) | - | - | 3.0x | - | 2.0x |'
    assert f'| FAM, 512x1024 | NCHW, float32 | forward | 5 | {cells}' in text
    assert '| net, 64x128 | NCHW | 200 | 150 | 1.33x |' in text
    assert '| net, 64x64 | channels_last | 120 | 150 | 0.80x |' in text
    assert 'not measured' not in text


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ('--rounds 0', 'error: --rounds and --threads must be 1 or more'),
        ('--network no.py', 'error: config no.py does not exist'),
    ],
)
def test_tool_says_what_is_wrong_before_it_measures(args, message, tmp_path):
    out = tmp_path / 'ops.json'
    options = ['--device', 'cpu', '--out', out, *args.split()]
    with pytest.raises(SystemExit, match=message):
        run_tool('analysis_tools/benchmark_ops', *options)
    assert not out.exists()
