"""Writes ``docs/model_zoo.md`` and the table of models in README.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from sfnet_mm.utils.tables import markdown_table

from .metafiles import own_size, results_text
from .paper import paper_notes, paper_rows, paper_settings, paper_tables
from .rows import Footnotes, Zoo, figure_text, row_cells, table_section

INTRODUCTION = """# Model zoo

<!-- made by tools/analysis_tools/make_model_zoo.py from sfnet_mm/model_zoo/*.yml and metafiles -->

Every table of the paper, row by row: its figures, then the config that builds the row, what is
counted of its network, and what a run of this package measured. A question mark follows a value
that the paper leaves open. Parameters are those that the logits depend on. Multiply-adds are
counted at the size given, without normalization, activation, pooling and warping; brackets show
how much more the paper prints, and footnotes say why. Weights come with the package for the model
that was measured on CamVid. "Compared" marks the mIoU of a short training, which is good only for
the comparison on [experiments](experiments.md).
"""


def coverage(zoo: Zoo) -> dict[str, int]:
    """Count the rows of the paper, those with a config, and those that were measured."""
    rows = [row for table in paper_tables() for row in table.rows]
    return {
        'rows': len(rows),
        'with a config': sum(bool(row.config) for row in rows),
        'measured': sum('Results' in zoo.models.get(row.config, {}) for row in rows),
    }


def coverage_line(zoo: Zoo) -> str:
    """Write the numbers of :func:`coverage` as a sentence."""
    numbers = coverage(zoo)
    return (
        f'The paper has {numbers["rows"]} rows in {len(paper_tables())} tables: '
        f'{numbers["with a config"]} have a config here, '
        f'{numbers["measured"] or "none"} of them were trained here.'
    )


def other_configs(zoo: Zoo) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Group the configs that are not rows of the paper."""
    rows = {name for _, row in paper_rows() for name in (row.config, *row.also)}
    for group in paper_notes()['others']:
        patterns = group['configs']
        yield (
            group,
            [n for n in zoo.files if n not in rows and any(fnmatchcase(n, p) for p in patterns)],
        )


def _own_cells(config: str, zoo: Zoo) -> list[str]:
    model = zoo.models[config]
    size = own_size(model)
    return [
        zoo.link(config),
        model['Metadata']['Training Data'],
        f'{zoo.counted(config, "params_m", size):.2f}',
        f'{zoo.counted(config, "gflops", size):.1f} @ {size}',
        results_text(model) or zoo.compared.get(config, 'not run'),
    ]


def model_zoo_page(zoo: Zoo) -> str:
    """Write the text of ``docs/model_zoo.md``."""
    lines = [
        *INTRODUCTION.split('\n'),
        coverage_line(zoo),
        '',
        'What its sections say of training:',
        '',
    ]
    lines += [*(f'- Section {s["section"]}: {s["text"]}' for s in paper_settings()), '']
    for table in paper_tables():
        lines += table_section(table, zoo)
    lines += ['## Contradictions outside of the tables', '']
    outside = [c['text'] for c in paper_notes()['contradictions'] if not c.get('tables')]
    lines += [*(f'- {text}' for text in outside), '', '## No row of the paper', '']
    header = ['config', 'data', 'parameters (M)', 'multiply-adds (G)', 'measured here']
    for group, names in other_configs(zoo):
        lines += [f'### {group["title"]}', '', group['remark'], '']
        lines += [*markdown_table(header, [_own_cells(name, zoo) for name in names]), '']
    return '\n'.join(lines)


# Tables whose SFNets README.md shows, with their scores.
_README_SCORES = {
    '3': '{miou} {split}',
    '15': 'PQ {PQ} {split}',
    '17': '{miou_bdd} BDD100K, {miou_idd} IDD',
}


def readme_table(zoo: Zoo) -> str:
    """Write the table of the paper's models on Cityscapes and of all measured ones."""
    zoo = replace(zoo, up='')
    header = ['config', 'trained on', 'mIoU or PQ, paper', 'FPS, paper', 'parameters (M), paper']
    header += ['parameters (M)', 'multiply-adds (G)', 'mIoU, measured']
    rows = []
    for table, row in paper_rows('*sfnet_*'):
        if table.number not in _README_SCORES:
            continue
        *_, link, parameters, multiply_adds, measured = row_cells(table, row, zoo, Footnotes())
        counts = [text.split('<')[0].split(' (')[0] for text in (parameters, multiply_adds)]
        data = zoo.models[row.config]['Metadata']['Training Data']
        score = _README_SCORES[table.number].format(**row.figures)
        figures = [figure_text(row.figures.get(c)) for c in ('fps', 'params_m')]
        rows.append([link, data, score, *figures, *counts, measured])
    for name, model in zoo.models.items():
        if 'Results' in model:
            link, data, *counts = _own_cells(name, zoo)
            rows.append([link, data, '', '', '', *counts])
    return '\n'.join([*markdown_table(header, rows), '', coverage_line(zoo)]) + '\n'
