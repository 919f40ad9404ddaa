"""Writes the results of a benchmark as Markdown tables."""

import statistics
from collections.abc import Sequence
from typing import Any

from sfnet_mm.utils.tables import markdown_table


def markdown(header: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    """Write a table with a row per model: its size, and its time and memory on every backend.

    Args:
        header: Device, date, size, output and precision.
        entries: Results of :meth:`sfnet_mm.benchmark.models.Entry.to_dict`.
    """
    backends = list(dict.fromkeys(e['backend'] for e in entries))
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for e in entries:
        rows.setdefault(e['name'], {})[e['backend']] = e
    head = ['model', 'parameters', 'multiply-adds', *backends]
    lines = [
        f'Measured on {header["device"]}, {header["date"]}: one image of {header["size"]}, '
        f'{header["precision"]}, output {header["output"]} at the size of the image. Milliseconds '
        f'per image, the median of {header["rounds"]} interleaved rounds; in brackets peak MiB.',
        '',
    ]
    notes, table = [], []
    for name, found in rows.items():
        any_entry = next(iter(found.values()))
        macs = f'{any_entry["macs"] / 1e9:.1f}G' if any_entry['macs'] else '-'
        cells = [name, f'{any_entry["parameters"] / 1e6:.2f}M', macs]
        notes += [f'{name}: {note}' for note in {e.get('note'): 0 for e in found.values()} if note]
        for b in backends:
            e = found.get(b)
            if e is not None and not e['milliseconds']:
                notes.append(f'{name} on {b}: {e["failure"]}')
            cells.append(_time_and_memory(e))
        table.append(cells)
    lines += markdown_table(head, table, text_columns=1)
    lines += ['', *(f'- {n}' for n in notes)] if notes else []
    lines += speedups(rows, backends)
    lines += speedups_over_float32(rows, backends)
    return '\n'.join(lines).rstrip() + '\n'


def _time_and_memory(entry: dict[str, Any] | None) -> str:
    if entry is None or not entry['milliseconds']:
        return '-'
    memory = '' if entry['memory'] is None else f' ({entry["memory"] / 2**20:.0f})'
    accuracy = '' if entry.get('accuracy') is None else f', {entry["accuracy"]:.2f} mIoU'
    return f'{entry["median"]:.1f}{memory}{accuracy}'


def speedups(rows: dict[str, dict[str, dict[str, Any]]], backends: Sequence[str]) -> list[str]:
    """Write a table of frame rates relative to those of other entries.

    A ratio is the median over the rounds of the ratio within a round. It varies less between runs
    than the times do.

    Args:
        rows: Entries by model and backend.
        backends: Names of the backends, in the order of the columns.

    Returns:
        list[str]: The lines of the table, empty if there is nothing to compare.
    """
    table = []
    for name, found in rows.items():
        twin = rows.get(f'{name} without flow', {})
        authors = dict.fromkeys(backends, found.get('authors'))
        for label, other in (('its twin without flow', twin), ('`authors`', authors)):
            cells = [ratio(found.get(b), other.get(b)) for b in backends]
            if any(c not in ('-', '1.00') for c in cells):
                table.append([name, label, *cells])
    if not table:
        return []
    head = ['frame rate of', 'over that of', *backends]
    return ['', *markdown_table(head, table, text_columns=2)]


def speedups_over_float32(
    rows: dict[str, dict[str, dict[str, Any]]], backends: Sequence[str]
) -> list[str]:
    """Write a table of frame rates relative to float32, as :func:`speedups` does."""
    others = [b for b in backends if '@' in b and b.partition('@')[0] in backends]
    if not others:
        return []
    rows_over = [
        [name, *(ratio(found.get(b), found.get(b.partition('@')[0])) for b in others)]
        for name, found in rows.items()
    ]
    return ['', *markdown_table(['frame rate over float32', *others], rows_over, 1)]


def ratio(entry: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    """Write the frame rate of an entry over that of another, the median over the rounds."""
    if not entry or not other or not entry['milliseconds'] or not other['milliseconds']:
        return '-'
    pairs = zip(other['milliseconds'], entry['milliseconds'])
    return f'{statistics.median(slow / fast for slow, fast in pairs):.2f}'
