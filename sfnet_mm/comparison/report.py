"""Writes the table and the plot of a comparison."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from sfnet_mm.utils.tables import markdown_table
from sfnet_mm.utils.tooling import atomic_file, mean_and_spread

from .alignment_monitor import alignment_history
from .settings import Budget

# A Result is what ``train`` writes of one run. Rows are the results of each config by its name.
Result = dict[str, Any]
Rows = dict[str, list[Result]]
METRICS = ('mIoU', 'bIoU')

# The 97.5 % quantiles of Student's t-distribution with 1, 2, ... degrees of freedom.
T_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


def half_interval(values: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of the mean, by Student's t-distribution.

    Raises:
        ValueError: There are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f'{len(values)} values have no confidence interval')
    # A larger number of values takes the last quantile, which is a little too wide for it.
    quantile = T_QUANTILES[min(len(values) - 1, len(T_QUANTILES)) - 1]
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def paired_difference(
    results: Sequence[Result], base: Sequence[Result], metric: str, digits: int = 2
) -> str:
    """Format the mean difference over common seeds with its 95 % confidence interval."""
    other = {r['seed']: r[metric] for r in base}
    paired = [r[metric] - other[r['seed']] for r in results if r['seed'] in other]
    if not paired:
        return ''
    text = f'{statistics.mean(paired):+.{digits}f}'
    return text + (f' ± {half_interval(paired):.{digits}f}' if len(paired) > 1 else '')


def differences(rows: Rows, metric: str) -> list[str]:
    """Write a table of the differences of each two configs, seed by seed: row minus column."""
    body = []
    for name, results in rows.items():
        others = ([] if r is results else r for r in rows.values())
        body.append([name, *(paired_difference(results, r, metric) for r in others)])
    return markdown_table([f'Δ {metric}, row minus column', *rows], body)


def devices_of(rows: Rows) -> list[str]:
    """List each device with the date of its last run and, if there are several, its seeds."""
    found: dict[str, list[Result]] = {}
    for results in rows.values():
        for result in results:
            found.setdefault(result['device'], []).append(result)
    texts = []
    for device, results in found.items():
        seeds = sorted({r['seed'] for r in results})
        of_seeds = f' (seeds {", ".join(map(str, seeds))})' if len(found) > 1 else ''
        texts.append(f'{device}{of_seeds}, {max(r["date"] for r in results)}')
    return texts


def table(
    rows: Rows, budget: Budget, baseline: str | None = None, speed: dict[str, Any] | None = None
) -> str:
    """Write the results as Markdown.

    Args:
        rows: Results of each config by its name.
        budget: The budget of all runs.
        baseline: Name of the config that the others are compared with, seed by seed.
        speed: The results of ``benchmark.py`` with one backend, which give multiply-adds and
            the time of a pass; None leaves these columns out.

    Raises:
        ValueError: See :func:`timed_passes`.
    """
    first = next(iter(rows.values()))[0]
    base = rows.get(baseline or '')
    devices = devices_of(rows)
    text = (
        f'{budget.describe()}; {" and ".join(devices)}. mIoU and boundary IoU (bIoU) of '
        'the last weights on val: mean ± standard deviation over seeds.'
    )
    head = ['model', 'seeds', 'mIoU', 'bIoU']
    if base:
        text += (
            f' Δ is the difference from {baseline}, seed by seed: its mean ± half of the 95 % '
            'confidence interval (t-distribution).'
        )
        head += ['Δ mIoU', 'Δ bIoU']
    head += ['parameters (M)', 'ms / iteration', 'loss', 'flow (px)']
    passes = timed_passes(rows, speed) if speed else {}
    if speed:
        backend = speed['entries'][0]['backend']
        head += ['multiply-adds (G)', f'{backend} (ms)']
        text += (
            f' Multiply-adds and time of one pass: {speed["size"]}, {speed["precision"]}, median '
            f'of {speed["rounds"]} interleaved rounds of {backend}; {speed["device"]}, '
            f'{speed["date"]}.'
        )
    body = []
    for name, results in sorted(rows.items(), key=lambda r: -_mean(r[1], 'mIoU')):
        cells = [name, str(len(results))]
        cells += [mean_and_spread([r[metric] for r in results]) for metric in METRICS]
        if base:
            same = name == baseline
            cells += ['' if same else paired_difference(results, base, m) for m in METRICS]
        flows = [v for r in results for v in r['flow_px'].values()]
        cells += [
            f'{results[0]["parameters"] / 1e6:.2f}',
            # Times of different devices have no common mean.
            f'{_mean(results, "milliseconds_per_iteration"):.0f}' if len(devices) == 1 else '',
            f'{_mean(results, "final_loss"):.3f}',
            f'{statistics.mean(flows):.2f}' if flows else '',
        ]
        if speed:
            cells += [f'{passes[name]["macs"] / 1e9:.2f}', f'{passes[name]["median"]:.1f}']
        body.append(cells)
    lines = [text, '', *markdown_table(head, body)]
    if base and len(rows) > 2:
        for metric in METRICS:
            lines += ['', *differences(rows, metric)]
    classes = list(first['per_class'])
    for title, key in (('IoU', 'per_class'), ('boundary IoU', 'per_class_bIoU')):
        body = [
            [name, *(f'{statistics.mean(r[key][c] for r in results):.1f}' for c in classes)]
            for name, results in rows.items()
        ]
        lines += ['', *markdown_table([title, *classes], body)]
    sources = list(first.get('per_source', ()))
    if sources:
        body = [
            [name, *(mean_and_spread([r['per_source'][s] for r in results]) for s in sources)]
            for name, results in rows.items()
        ]
        lines += ['', *markdown_table(['mIoU', *sources], body)]
    history = alignment_history(rows)
    if history:
        lines += ['', history]
    return '\n'.join(lines) + '\n'


def timed_passes(names: Iterable[str], speed: Any) -> dict[str, dict[str, Any]]:
    """Return the entry of each config in the results of ``benchmark.py`` with one backend.

    Raises:
        ValueError: There are no such results, they lack a config, or they have several backends.
    """
    if not isinstance(speed, dict) or 'entries' not in speed:
        raise ValueError('the file of times was not written by benchmark.py --out')
    backends = {entry['backend'] for entry in speed['entries']}
    if len(backends) > 1:
        raise ValueError(f'times of several backends ({", ".join(sorted(backends))}): run one')
    passes = {entry['name']: entry for entry in speed['entries'] if entry.get('median')}
    missing = sorted(set(names) - set(passes))
    if missing:
        raise ValueError(f'{", ".join(missing)} was not timed: run benchmark.py with all configs')
    return passes


def plot(rows: Rows, path: str) -> None:
    """Draw the mean mIoU and boundary IoU of each config, with a dot for each seed."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = sorted(rows, key=lambda n: _mean(rows[n], 'mIoU'))
    figure, panels = pyplot.subplots(1, 2, sharey=True, figsize=(10, 0.5 * len(names) + 1.2))
    for axes, metric, title in zip(panels, METRICS, ('mIoU', 'boundary IoU')):
        axes.barh(names, [_mean(rows[n], metric) for n in names], color='#9ecae1')
        for i, name in enumerate(names):
            values = [r[metric] for r in rows[name]]
            axes.plot(values, [i] * len(values), 'k.', markersize=5)
        low = min(r[metric] for results in rows.values() for r in results)
        axes.set_xlim(left=max(0, low - 5))
        axes.set_xlabel(f'{title} on val (%); a dot for each seed')
    figure.tight_layout()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format='png', dpi=150)
    pyplot.close(figure)


def _mean(results: Sequence[Result], key: str) -> float:
    return statistics.mean(r[key] for r in results)
