"""Table and plot of a comparison."""

import statistics
from typing import Any, Dict, List, Optional

from sfnet_mm.utils.tooling import mean_and_spread, whole_file

from .settings import Budget

# Results of each name, as ``train`` writes them.
Rows = Dict[str, List[Dict[str, Any]]]


def table(rows: Rows, budget: Budget, baseline: Optional[str] = None) -> str:
    """The results as Markdown.

    Args:
        rows: Results of each name.
        budget: Of all.
        baseline: Name of the row that others are compared with, seed by seed.
    """
    first = next(iter(rows.values()))[0]
    base = baseline if baseline in rows else None
    lines = [
        f'{budget.iters} iterations of batch {budget.batch_size}, SGD with lr {budget.lr}, random '
        f'weights unless the name says otherwise; {first["device"]}, {first["date"]}. mIoU of the '
        'last weights on val: mean ± standard deviation over seeds.',
        '',
        '| model | seeds | mIoU | '
        + (f'Δ {base} | ' if base else '')
        + 'parameters (M) | ms / iteration | loss | flow (px) |',
        '| --- ' * (8 if base else 7) + '|',
    ]
    for name, results in sorted(rows.items(), key=lambda r: -_mean(r[1], 'mIoU')):
        cells = [name, str(len(results)), mean_and_spread([r['mIoU'] for r in results])]
        if base:
            # Seed by seed, as far as both have it.
            other = {r['seed']: r['mIoU'] for r in rows[base]}
            paired = [r['mIoU'] - other[r['seed']] for r in results if r['seed'] in other]
            cells.append(mean_and_spread(paired) if paired and name != base else '')
        flows = [v for r in results for v in r['flow_px'].values()]
        cells += [
            f'{results[0]["parameters"] / 1e6:.2f}',
            f'{_mean(results, "milliseconds_per_iteration"):.0f}',
            f'{_mean(results, "final_loss"):.3f}',
            f'{statistics.mean(flows):.2f}' if flows else '',
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    classes = list(first['per_class'])
    lines += ['', '| IoU | ' + ' | '.join(classes) + ' |', '| --- ' * (1 + len(classes)) + '|']
    for name, results in rows.items():
        values = [f'{statistics.mean(r["per_class"][c] for r in results):.1f}' for c in classes]
        lines.append(f'| {name} | ' + ' | '.join(values) + ' |')
    sources = list(first.get('per_source', ()))
    if sources:
        lines += ['', '| mIoU | ' + ' | '.join(sources) + ' |', '| --- ' * (1 + len(sources)) + '|']
        for name, results in rows.items():
            values = [mean_and_spread([r['per_source'][s] for r in results]) for s in sources]
            lines.append(f'| {name} | ' + ' | '.join(values) + ' |')
    return '\n'.join(lines) + '\n'


def plot(rows: Rows, path: str) -> None:
    """Mean mIoU with a dot per seed, against parameters."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = sorted(rows, key=lambda n: _mean(rows[n], 'mIoU'))
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(names) + 1.2))
    axes.barh(names, [_mean(rows[n], 'mIoU') for n in names], color='#9ecae1')
    for i, name in enumerate(names):
        values = [r['mIoU'] for r in rows[name]]
        axes.plot(values, [i] * len(values), 'k.', markersize=5)
    low = min(r['mIoU'] for results in rows.values() for r in results)
    axes.set_xlim(left=max(0, low - 5))
    axes.set_xlabel('mIoU on val; a dot for each seed')
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format='png', dpi=150)
    pyplot.close(figure)


def _mean(results: List[Dict[str, Any]], key: str) -> float:
    return statistics.mean(r[key] for r in results)
