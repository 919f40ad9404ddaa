"""The tables of the paper: every figure is there, and every row is built or says why not."""

from collections import Counter
from fnmatch import fnmatchcase

import pytest
from helpers import ROOT

from sfnet_mm.model_zoo.counts import read_counts
from sfnet_mm.model_zoo.metafiles import config_files, read_models
from sfnet_mm.model_zoo.page import coverage, other_configs
from sfnet_mm.model_zoo.paper import difference, paper_notes, paper_rows, paper_tables
from sfnet_mm.model_zoo.rows import Footnotes, Zoo, half_unit, row_cells, table_section

FILES = config_files(ROOT)
ZOO = Zoo(read_models(ROOT), FILES, read_counts(ROOT))
ROWS = [(table, row) for table in paper_tables() for row in table.rows]
NAMED = {name for _, row in ROWS for name in (row.config, *row.also) if name}


def named(number, **wanted):
    table = next(t for t in paper_tables() if t.number == number)
    (row,) = (r for r in table.rows if r.matches(wanted))
    return row


def test_every_row_has_a_config_or_a_reason(capsys):
    numbers = coverage(ZOO)
    with capsys.disabled():
        print('\n' + ', '.join(f'{value} {name}' for name, value in numbers.items()))
    assert numbers['rows'] == 203 and len(paper_tables()) == 26
    # Nobody who has only small data can train a row; whoever does changes this number.
    assert numbers['with a config'] == 182 and numbers['measured'] == 0
    for table, row in ROWS:
        assert bool(row.config) != bool(row.absent), (table.number, row.name)
    assert not NAMED - set(FILES)


# Read in the paper by eye: Table 3 and 7 in full rows, the others in single cells.
def test_figures_are_those_of_the_paper():
    row = named('3', method='SFNet-Lite', backbone='STDC1')
    assert (row.figures['miou'], row.figures['fps'], row.figures['params_m']) == (78.8, 119.1, 9.7)
    row = named('7', method='SFNet', backbone='DF2')
    assert (row.figures['miou'], row.figures['fps'], row.figures['params_m']) == (75.5, 37.5, 19.6)
    assert named('9b', kernel=7).figures['gflops'] == 140.5
    assert named('11', backbone='ResNet-101', method='GD-FAM').figures['miou'] == 80.2
    assert named('12', method='GD-FAM').figures['truck'] == 85.7
    assert named('2', dataset='IDD').figures['val_images'] == 3000


def test_sums_that_the_paper_must_obey():
    sizes = {r.figures['dataset']: r.figures for t, r in ROWS if t.number == '2'}
    total = sizes.pop('UDS')
    for column in ('train_images', 'val_images'):
        assert total[column] == sum(figures[column] for figures in sizes.values())
    for table, row in ROWS:
        gain = row.figures.get('delta_miou')
        if gain is not None and table.number in ('8b', '8c', '9c', '9d'):
            assert row.figures['miou'] - table.rows[0].figures['miou'] == pytest.approx(gain)


def test_one_config_does_not_stand_for_two_networks_of_a_table():
    for table in paper_tables():
        configs = Counter(row.config for row in table.rows if row.config)
        assert not [c for c, n in configs.items() if n > 1], table.number


@pytest.mark.parametrize('column', ['params_m', 'gflops'])
def test_differences_are_the_explained_ones(column):
    """A figure is the count, rounded, or is off by what its remark says; none is off silently."""
    used = set()
    for table, row in ROWS:
        paper = row.figures.get(column)
        here = ZOO.counted(row.config, column, row.size) if row.config else None
        if paper is None or here is None:
            continue
        found = difference(column, row.config)
        by = 0 if abs(paper - here) <= half_unit(paper) else found and found['by']
        assert by is not None, f'Table {table.number}, {row.name}: {paper} but {here:.3f} here'
        # `by` is rounded too, to a tenth of what the figures show.
        slack = half_unit(paper) + (0.005 if column == 'params_m' else 0.05)
        assert abs(paper - here - by) <= slack, (table.number, row.name, paper, here, by)
        used.update([found['pattern']] if by else [])
    stated = {
        p
        for entry in paper_notes()['differences']
        if entry['column'] == column
        for p in entry['by']
    }
    assert stated == used, f'explained, but equal: {stated - used}'


def test_every_contradiction_is_shown_where_it_belongs():
    notes = paper_notes()['contradictions']
    assert len(notes) == 40
    shown = {t.number: '\n'.join(table_section(t, ZOO)) for t in paper_tables()}
    for note in notes:
        for number in note.get('tables', []):
            assert note['text'] in shown[number], (number, note['text'])


def test_what_the_paper_leaves_open_has_a_mark():
    unsure = [(t, r) for t, r in ROWS if r.unsure]
    assert len(unsure) == 22
    for table, row in unsure:
        cells = row_cells(table, row, ZOO, Footnotes())
        for column in row.unsure & set(table.columns):
            assert cells[table.columns.index(column)].endswith(' ?')
    section = '\n'.join(table_section(next(t for t in paper_tables() if t.number == '10c'), ZOO))
    assert 'ResNet-18 ?' in section


def test_a_config_without_a_row_is_in_one_group():
    grouped = Counter(name for _, names in other_configs(ZOO) for name in names)
    rest = set(FILES) - NAMED
    assert set(grouped) == rest, sorted(set(grouped) ^ rest)
    assert not [name for name, n in grouped.items() if n > 1]
    for group, names in other_configs(ZOO):
        unused = [p for p in group['configs'] if not any(fnmatchcase(n, p) for n in names)]
        assert not unused, f'{group["title"]}: {unused} name nothing'


def test_rows_of_a_config():
    assert {t.number for t, _ in paper_rows('sfnet_stdc1_cityscapes')} == {'3', '11'}
    assert not list(paper_rows('sfnet_stdc1_miniuds'))
