"""Writes the summary page of a GPU report: its steps and the most important figures."""

from typing import Any

from sfnet_mm.comparison.report import table
from sfnet_mm.comparison.settings import Budget
from sfnet_mm.utils.tables import markdown_table

from .report import markdown
from .warp_report import warp_tables

Record = dict[str, Any]


def summary(records: list[Record]) -> str:
    """Write the records of :func:`sfnet_mm.benchmark.steps.run_steps` as Markdown."""
    found = {r['name']: r['result'] for r in records if r['result'] is not None}
    machine = found.get('device', {})
    lines = ['# What this device shows', '', machine.get('device', 'The device is not known.'), '']
    rows = []
    for r in records:
        status = r['status'] + (f': {r["reason"]}' if r['reason'] else '')
        rows.append([r['name'], r['title'], status, str(r['seconds']), str(r['limit'])])
    lines += markdown_table(['step', 'shows', 'status', 'seconds', 'limit'], rows, text_columns=3)
    if 'tests' in found:
        counts = ', '.join(f'{key} {value}' for key, value in found['tests'].items())
        lines += ['', f'Tests: {counts}.']
    if 'ops' in found:
        lines += ['', '## The warp', '', warp_tables([found['ops']])]
    for name in ('networks', 'peers'):
        if name in found:
            lines += [
                '',
                f'## {name.capitalize()}',
                '',
                markdown(found[name], found[name]['entries']),
            ]
    if 'kernels' in found:
        lines += ['', '## Kernels, by ncu', '', '```', *found['kernels'], '```']
    if 'training' in found:
        budget = Budget(**next(iter(found['training'].values()))[0]['budget'])
        lines += ['', '## Training', '', table(found['training'], budget)]
    return '\n'.join(lines).rstrip() + '\n'
