"""Writes the times of the flow warp as Markdown tables."""

from typing import Any

from sfnet_mm.utils.tables import markdown_table

from .warps import WAYS

_OTHERS = [way for way in WAYS if way != 'ext']
_NETWORKS = {'network': 'network, inference', 'training': 'network, step of two crops'}


def warp_tables(results: list[dict[str, Any]]) -> str:
    """Write the times, their ratios to the compiled warp, and the memory as Markdown.

    Args:
        results: Results of ``tools/analysis_tools/benchmark_ops.py``, one for each device.
    """
    lines = []
    for result in results:
        lines += [*_warp_table(result), '']
        for kind, title in _NETWORKS.items():
            if result.get(kind):
                lines += [*_network_table(title, result[kind], result['rounds']), '']
    if all(result['kind'] != 'cuda' for result in results):
        lines += ['GPU: not measured.', '']
    return '\n'.join(lines)


def _warp_table(result: dict[str, Any]) -> list[str]:
    threads = f', {result["threads"]} threads' if result['kind'] == 'cpu' else ''
    ratios = [f'{WAYS[way]} / ext' for way in _OTHERS]
    head = ['module, input', 'layout, dtype', 'pass', 'floor', *WAYS.values(), *ratios]
    head.append('ext / floor')
    return [
        f'### {result["device"]}{threads} (torch {result["torch"]}, {result["date"]})',
        '',
        f'Shortest time in ms of {result["rounds"]} interleaved turns, results newly allocated; in '
        'brackets the peak of the memory in MB.',
        '',
        *markdown_table(head, [_warp_cells(row) for row in result['rows']], text_columns=3),
    ]


def _warp_cells(row: dict[str, Any]) -> list[str]:
    best = {way: times['min'] for way, times in row['ms'].items()}
    measured = [
        f'{best[way]:.3g} ({row["peak_mb"][way]:.0f})' if way in best else '-' for way in WAYS
    ]
    ext, floor = best.get('ext'), row['floor_ms']
    return [
        f'{row["module"]}, {row["input"]}',
        f'{row["layout"]}, {row["dtype"]}',
        row['pass'],
        f'{floor:.3g}',
        *measured,
        *(_ratio(best.get(way), ext) for way in _OTHERS),
        _ratio(ext, floor),
    ]


def _network_table(title: str, rows: list[dict[str, Any]], rounds: int) -> list[str]:
    head = [title, 'form', 'native', 'ext', 'native / ext']
    table = []
    for row in rows:
        native, ext = row['ms']['native']['min'], row['ms']['ext']['min']
        name = f'{row["config"]}, {"x".join(map(str, row["size"]))}'
        ratio = f'{native / ext:.2f}x'
        table.append([name, row['form'], f'{native:.0f}', f'{ext:.0f}', ratio])
    return [
        f'Shortest time in ms of {rounds} interleaved turns.',
        '',
        *markdown_table(head, table, text_columns=2),
    ]


def _ratio(a: float | None, b: float | None) -> str:
    return f'{a / b:.1f}x' if a and b else '-'
