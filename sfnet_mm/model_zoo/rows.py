"""Writes rows of the paper's tables in Markdown, beside figures counted and measured here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sfnet_mm.utils.tables import markdown_table

from .metafiles import results_text
from .paper import Row, Table, difference, paper_notes

HEADERS = {
    'miou': 'mIoU',
    'fps': 'FPS',
    'params_m': 'parameters (M)',
    'gflops': 'multiply-adds (G)',
    'delta_miou': 'Δ mIoU',
    'delta_gflops': 'Δ multiply-adds (G)',
    'gflops_input': 'input of the multiply-adds',
    'fps_1080ti_torch': 'FPS, 1080Ti',
    'fps_titan_rtx_torch': 'FPS, TITAN RTX',
    'fps_3090_torch': 'FPS, RTX 3090',
    'fps_titan_rtx_tensorrt': 'FPS, TITAN RTX, TensorRT',
    'fps_1080ti': 'FPS, 1080Ti',
    'fps_titan_rtx': 'FPS, TITAN RTX',
    'fps_3090': 'FPS, RTX 3090',
    'PQ_th': 'PQ, things',
    'PQ_st': 'PQ, stuff',
}


@dataclass(frozen=True)
class Zoo:
    """The data of the pages.

    Args:
        models: Entries of the metafiles by the base names of their configs.
        files: Paths of configs below the repository, by base name.
        counts: Parameters and multiply-adds by base name.
        up: Relative path from the page to the root of the repository.
        compared: mIoU in a comparison of ``docs/experiments.md``, by base name.
    """

    models: dict[str, dict[str, Any]]
    files: dict[str, str]
    counts: dict[str, dict[str, Any]]
    up: str = '../'
    compared: dict[str, str] = field(default_factory=dict)

    def link(self, config: str) -> str:
        """Return the name of a config, linked to its file."""
        return f'[{config}]({self.up}{self.files[config]})'

    def counted(self, config: str, column: str, size: str) -> float | None:
        """Return parameters in millions or multiply-adds in 1e9; None if they are not counted."""
        counts = self.counts.get(config)
        if counts is None:
            return None
        if column == 'params_m':
            return counts['parameters'] / 1e6
        return counts['multiply_adds'][size] / 1e9


def header_of(column: str) -> str:
    """Return the header of a column on the page."""
    return HEADERS.get(column, column.replace('_', ' '))


def figure_text(value: Any, is_unsure: bool = False) -> str:
    """Format a figure of the paper; one that is not clear ends in a question mark."""
    if value is None:
        return '?' if is_unsure else ''
    text = ('yes' if value else 'no') if isinstance(value, bool) else str(value)
    return text + (' ?' if is_unsure else '')


def half_unit(printed: float) -> float:
    """Half a unit of the last printed digit, the largest error of rounding."""
    digits = str(printed).partition('.')[2]
    return 0.5 * 10 ** -len(digits) + 1e-9


class Footnotes:
    """Gives letters to the remarks under a table, in the order of their first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """Return the superscript of a remark."""
        if text not in self.texts:
            self.texts.append(text)
        return f'<sup>{chr(ord("a") + self.texts.index(text))}</sup>'

    def lines(self) -> list[str]:
        """Write the remarks as a Markdown list."""
        return [f'- {self.mark(text)} {text}' for text in list(self.texts)]


def _counted_text(zoo: Zoo, row: Row, column: str, notes: Footnotes) -> str:
    here = zoo.counted(row.config, column, row.size)
    if here is None:
        return ''
    digits = 2 if column == 'params_m' else 1
    text = f'{here:.{digits}f}' + (f' @ {row.size}' if column == 'gflops' else '')
    paper = row.figures.get(column)
    if paper is not None and abs(paper - here) > half_unit(paper):
        why = difference(column, row.config)
        reason = why['why'] if why else 'not explained'
        what = header_of(column).split(' (')[0]
        mark = notes.mark(f"{what}: the paper's figure {reason}.")
        text += f' (paper {paper - here:+.{digits}f}){mark}'
    return text


def contradictions(table: Table) -> list[dict[str, Any]]:
    """Find the contradictions of the paper that concern a table."""
    return [c for c in paper_notes()['contradictions'] if table.number in c.get('tables', [])]


def row_cells(table: Table, row: Row, zoo: Zoo, notes: Footnotes) -> list[str]:
    """Write the figures of the paper, then the config, its counts and its results."""
    cells = [figure_text(row.figures[c], c in row.unsure) for c in table.columns]
    for entry in contradictions(table):
        if 'rows' in entry and row.matches(entry['rows']):
            cells[0] += notes.mark(entry['text'])
    if not row.config:
        return [*cells, 'no config', '', '', '']
    return [
        *cells,
        ', '.join(map(zoo.link, (row.config, *row.also))),
        _counted_text(zoo, row, 'params_m', notes),
        _counted_text(zoo, row, 'gflops', notes),
        results_text(zoo.models.get(row.config)) or 'not run',
    ]


def missing_line(table: Table, zoo: Zoo) -> str:
    """Say how many rows there are, and which have no config and why."""
    measured = sum('Results' in zoo.models.get(r.config, {}) for r in table.rows)
    built = [r for r in table.rows if r.config]
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        if not row.config:
            reasons.setdefault(row.absent, []).append(row.name)
    text = f'{len(table.rows)} rows: {len(built)} with a config, {measured or "none"} measured.'
    missing = '; '.join(f'{", ".join(names)} ({why})' for why, names in reasons.items())
    return text + (f' No config: {missing}.' if missing else '')


def table_section(table: Table, zoo: Zoo) -> list[str]:
    """Write a table of the paper with its heading and its footnotes."""
    notes = Footnotes()
    rows = [row_cells(table, row, zoo, notes) for row in table.rows]
    for entry in contradictions(table):
        if 'rows' not in entry:
            notes.mark(entry['text'])
    ours = ['config', 'parameters here (M)', 'multiply-adds here (G)', 'measured here']
    header = [*map(header_of, table.columns), *ours]
    if not any(row.config for row in table.rows):
        header, rows = header[:-4], [row[:-4] for row in rows]
    same = ', '.join(f'{header_of(c)} {v}' for c, v in table.same.items())
    sections = ', '.join(table.expect.get('settings', []))
    about = [f'All rows: {same}.' if same else '', f'Sections: {sections}.' if sections else '']
    return [
        f'## Table {table.number}: {table.title}',
        '',
        ' '.join(s for s in (missing_line(table, zoo), *about) if s),
        *(['', table.remark] if table.remark else []),
        '',
        *markdown_table(header, rows),
        '',
        *([*notes.lines(), ''] if notes.texts else []),
    ]
