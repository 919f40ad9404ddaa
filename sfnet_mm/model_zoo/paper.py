"""Reads the tables of the paper from ``paper_tables.yml`` and ``paper_notes.yml``.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import yaml
from mmengine.fileio import get_text

_FOLDER = osp.dirname(__file__)
DEFAULT_SIZE = '1024x2048'


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        figures: Values by column, including those that all rows share; None if the paper prints
            nothing.
        unsure: Columns whose value is not clear from the paper.
        config: Base name of the config that builds it; empty if there is none.
        also: Base names of other configs of the row.
        absent: Why there is no config.
        size: Height x width at which its multiply-adds are counted.
    """

    figures: dict[str, Any]
    unsure: frozenset
    config: str = ''
    also: Sequence[str] = ()
    absent: str = ''
    size: str = DEFAULT_SIZE

    @property
    def name(self) -> str:
        """The method, with the backbone if the row has one."""
        first = next(iter(self.figures.values()))
        parts = (self.figures.get('method', first), self.figures.get('backbone'))
        return ' with '.join(dict.fromkeys(str(p) for p in parts if p is not None))

    def matches(self, wanted: dict[str, Any]) -> bool:
        """Return whether the row has the wanted figures; a list names alternatives."""
        return all(
            self.figures.get(k) in (v if isinstance(v, list) else [v]) for k, v in wanted.items()
        )


@dataclass(frozen=True)
class Table:
    """A table, or one of the parts of Tables 8 to 10.

    Args:
        number: Number of the table, such as ``'8a'``.
        title: Subject of the comparison.
        columns: Columns that differ between rows, in the order of the paper.
        same: Values of the other columns.
        rows: Rows in the order of the paper.
        remark: Remark for readers.
        expect: Settings of every row: ``classes``, and the sections that give its ``settings``.
    """

    number: str
    title: str
    columns: list[str]
    same: dict[str, Any]
    rows: list[Row]
    remark: str = ''
    expect: dict[str, Any] = field(default_factory=dict)


def _row(row: dict[str, Any], table: dict[str, Any]) -> Row:
    cells = {**{c: row.get(c) for c in table['columns']}, **table.get('same', {})}
    unsure = frozenset(c for c, v in cells.items() if isinstance(v, dict))
    figures = {c: v['value'] if c in unsure else v for c, v in cells.items()}
    sizes = (row.get('fits'), figures.get('gflops_input'), figures.get('input'), table.get('size'))
    size = next(filter(None, sizes), DEFAULT_SIZE)
    special = {k: row[k] for k in ('config', 'also', 'absent') if k in row}
    return Row(figures, unsure, size=size, **special)


@cache
def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load(get_text(osp.join(_FOLDER, name)))


def paper_settings() -> list[dict[str, Any]]:
    """Read ``section``, ``text`` and the values that it ``says``, for sections on training."""
    return _read('paper_tables.yml')['settings']


@cache
def paper_tables() -> list[Table]:
    """Read all tables in the order of the paper."""
    return [
        Table(
            number=t['table'],
            title=t['title'],
            columns=t['columns'],
            same=t.get('same', {}),
            rows=[_row(row, t) for row in t['rows']],
            remark=t.get('remark', ''),
            expect=t.get('expect', {}),
        )
        for t in _read('paper_tables.yml')['tables']
    ]


def paper_notes() -> dict[str, list[dict[str, Any]]]:
    """Read ``differences``, ``contradictions`` and ``others`` of ``paper_notes.yml``."""
    return _read('paper_notes.yml')


def paper_rows(config: str = '*') -> Iterator[tuple[Table, Row]]:
    """Find the rows whose config has this base name; ``*`` stands for any characters."""
    for table in paper_tables():
        for row in table.rows:
            if any(fnmatchcase(name, config) for name in (row.config, *row.also) if name):
                yield table, row


def difference(column: str, config: str) -> dict[str, Any] | None:
    """Find why a figure of the paper differs from the config: ``by`` how much, and ``why``."""
    for entry in paper_notes()['differences']:
        for pattern, by in entry['by'].items():
            if entry['column'] == column and fnmatchcase(config, pattern):
                return dict(by=by, why=entry['why'], pattern=pattern)
    return None
