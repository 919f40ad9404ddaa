"""The table of a comparison."""

import math

import numpy as np
import pytest

from sfnet_mm.comparison.report import T_QUANTILES, half_interval, table
from sfnet_mm.comparison.settings import Budget


def result(name, seed, miou):
    return dict(
        name=name,
        seed=seed,
        mIoU=miou,
        bIoU=miou / 2,
        per_class_bIoU={'sky': 2.0, 'car': 3.0},
        parameters=2_000_000,
        final_loss=1.0,
        milliseconds_per_iteration=10.0,
        flow_px={},
        per_class={'sky': miou, 'car': 1.0},
        device='CPU',
        date='2025-01-01',
    )


def test_table_has_mean_spread_and_paired_difference():
    rows = {
        'a': [result('a', 0, 50.0), result('a', 1, 54.0)],
        'b': [result('b', 0, 53.0), result('b', 1, 55.0), result('b', 2, 60.0)],
    }
    text = table(rows, Budget(), 'a')
    # b: mean of 53, 55, 60; against a by seed: 3 and 1, so 2 with a standard error of 1.
    assert '| b | 3 | 56.00 ± 3.61 | 28.00 ± 1.80 | +2.00 ± 12.71 | +1.00 ± 6.35 | 2.00 |' in text
    assert '| a | 2 | 52.00 ± 2.83 | 26.00 ± 1.41 |  |  |' in text
    assert text.index('| b |') < text.index('| a |')
    assert '| a | 52.0 | 1.0 |' in text and '| a | 2.0 | 3.0 |' in text


def test_each_two_configs_are_compared_seed_by_seed():
    rows = {
        'a': [result('a', 0, 50.0), result('a', 1, 54.0)],
        'b': [result('b', 0, 53.0), result('b', 1, 55.0)],
        'c': [result('c', 1, 50.5)],
    }
    text = table(rows, Budget(), 'a')
    assert '| Δ mIoU, row minus column | a | b | c |' in text
    # Differences of 3 and 1; c and a have seed 1 alone in common.
    assert '| b | +2.00 ± 12.71 |  | +4.50 |' in text
    assert '| c | -3.50 | -4.50 |  |' in text
    assert 'row minus column' not in table({k: rows[k] for k in 'ab'}, Budget(), 'a')


def test_table_of_sources_has_a_row_for_a_config_and_a_column_for_a_target():
    def run(name, seed, bdd):
        return dict(result(name, seed, 50.0), per_source={'cityscapes': 60.0, 'bdd': bdd})

    text = table({'a': [run('a', 0, 30.0), run('a', 1, 34.0)], 'b': [run('b', 0, 40.0)]}, Budget())
    assert '| mIoU | cityscapes | bdd |' in text
    assert '| a | 60.00 ± 0.00 | 32.00 ± 2.83 |' in text
    assert '| b | 60.00 | 40.00 |' in text


def test_quantiles_are_those_of_the_t_distribution():
    for degrees, quantile in enumerate(T_QUANTILES, 1):
        # The density's integral from 0, by the midpoint rule, with t = tan(x).
        x = (np.arange(200_000) + 0.5) / 200_000 * np.arctan(quantile)
        density = (1 + np.tan(x) ** 2 / degrees) ** (-(degrees + 1) / 2) / np.cos(x) ** 2
        factor = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2)
        share = factor / math.sqrt(degrees * math.pi) * density.mean() * np.arctan(quantile)
        assert share == pytest.approx(0.475, abs=5e-5)
    with pytest.raises(ValueError, match='1 values have no confidence interval'):
        half_interval([1.0])


def timed(*names, backends=('openvino',)):
    entries = [
        dict(name=name, backend=backend, macs=4_560_000_000, median=12.34)
        for name in names
        for backend in backends
    ]
    settings = dict(size='360x480', precision='float32', rounds=9, device='CPU', date='2025-01-02')
    return dict(settings, entries=entries)


def test_multiply_adds_and_times_are_those_of_the_benchmark():
    rows = {'a': [result('a', 0, 50.0)]}
    text = table(rows, Budget(), speed=timed('b', 'a'))
    head, row = (line for line in text.splitlines() if line.startswith(('| model', '| a | 1 ')))
    assert head.endswith('| multiply-adds (G) | openvino (ms) |')
    assert row.endswith('| 4.56 | 12.3 |')
    with pytest.raises(ValueError, match='a was not timed: run benchmark.py'):
        table(rows, Budget(), speed=timed('b'))
    with pytest.raises(ValueError, match=r'several backends \(native, openvino\): run one'):
        table(rows, Budget(), speed=timed('a', backends=('openvino', 'native')))
