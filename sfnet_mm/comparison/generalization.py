"""Writes the table of models that are trained on one source and tested on all sources."""

import os.path as osp
import statistics
from glob import escape, glob
from typing import Any

from sfnet_mm.utils.tables import markdown_table
from sfnet_mm.utils.tooling import mean_and_spread, read_json

_KEPT = ('name', 'seed', 'budget', 'device', 'date', 'per_source', 'flow_px')
Runs = dict[str, list[dict[str, Any]]]


def collect_runs(work_dir: str) -> Runs:
    """Map each source to the part of the results of its runs that the table needs.

    Args:
        work_dir: Folder with ``from_{source}/results.json`` of the tool ``compare.py``.

    Raises:
        FileNotFoundError: There is no such file.
    """
    found = {}
    for folder in sorted(glob(osp.join(escape(work_dir), 'from_*'))):
        path = osp.join(folder, 'results.json')
        if osp.isfile(path):
            runs = [run for runs in read_json(path).values() for run in runs]
            source = osp.basename(folder)[len('from_') :]
            found[source] = [{key: run[key] for key in _KEPT} for run in runs]
    if not found:
        raise FileNotFoundError(f'{work_dir} has no from_SOURCE/results.json of compare.py')
    return found


def generalization_table(found: Runs) -> str:
    """Write Markdown with a row for each source and model, and a column for each target."""
    first = next(iter(found.values()))[0]
    targets, budget = list(first['per_source']), first['budget']
    text = (
        f'{budget["iters"]} iterations of batch {budget["batch_size"]} from random weights, lr '
        f'{budget["lr"]}, mIoU of the last weights on each target, mean ± standard deviation over '
        f'seeds; {first["device"]}, {first["date"]}. The column of the source itself is in '
        'brackets; the last column is the mean of the others.'
    )
    rows = []
    for source, runs in found.items():
        for name in dict.fromkeys(run['name'] for run in runs):
            scores = [run['per_source'] for run in runs if run['name'] == name]
            cells = [mean_and_spread([s[target] for s in scores], 1) for target in targets]
            cells = [f'({c})' if t == source else c for c, t in zip(cells, targets)]
            unseen = [statistics.mean(v for t, v in s.items() if t != source) for s in scores]
            model = name.replace('_city2miniuds', '')
            rows.append([source, model, str(len(scores)), *cells, mean_and_spread(unseen, 1)])
    header = ['trained on', 'model', 'seeds', *targets, 'unseen']
    return '\n'.join([text, '', *markdown_table(header, rows, 2)])
