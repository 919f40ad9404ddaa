"""Write docs/benchmarks.md and tables of other pages from the files in docs/benchmarks/.

    python tools/analysis_tools/make_benchmarks.py [--check] [--collect WORK_DIR]

``speed_*.json`` come from benchmark.py, ``parity.json`` from tools/deployment/check_parity.py, and
``generalization.json`` from runs of compare.py on one source each, in ``WORK_DIR/from_SOURCE``:
``--collect`` reads those. ``camvid_alignment.json``, for docs/experiments.md, is the
``results.json`` of a run of compare.py; its multiply-adds and times are in
``speed_cpu_camvid360.json``. ``camvid_recipe.json``, for the same page, comes from compare.py, too,
and ``stride_limits.json`` from stride_limits.py. ``precision.json`` comes from benchmark.py with
``--checkpoint``.
"""

import argparse
import os.path as osp
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.fileio import get_text

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.benchmark.pages import benchmarks_page, precision_table, warp_forms_line
from sfnet_mm.comparison.generalization import collect_runs, generalization_table
from sfnet_mm.comparison.report import table
from sfnet_mm.comparison.settings import Budget
from sfnet_mm.evaluation.stride_limit import stride_limits_table
from sfnet_mm.utils.tooling import (
    one_error_line,
    read_json,
    replace_between,
    write_json,
    write_text,
)

DOCS = osp.abspath(osp.join(__file__, '..', '..', '..', 'docs'))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='fail if a page is out of date')
    parser.add_argument(
        '--collect', metavar='WORK_DIR', help='read the runs on single sources from there'
    )
    return parser.parse_args(argv)


def budget_of(rows: dict[str, Any]) -> Budget:
    return Budget(**next(iter(rows.values()))[0]['budget'])


def alignment_table(rows: dict[str, Any]) -> str:
    speed = read_json(osp.join(DOCS, 'benchmarks', 'speed_cpu_camvid360.json'))
    return table(rows, budget_of(rows), 'fpn_ppm_efflite0_camvid360', speed)


def recipe_table(rows: dict[str, Any]) -> str:
    # How flows grow is shown for the comparison of aligners.
    without_flows = {n: [dict(r, alignment_history=()) for r in runs] for n, runs in rows.items()}
    return table(without_flows, budget_of(rows), 'sfnet_efflite0_camvid360')


def with_table(page: str, *tables: tuple[str, str, Callable]) -> str:
    """Return a page with the parts between its marks made from files of results.

    Args:
        page: Name of the page in ``docs``.
        *tables: Tuples of the name of a mark, the name of a file, and a function that writes the
            content of the file as Markdown.
    """
    page_text = get_text(osp.join(DOCS, page))
    for mark, name, make in tables:
        path = osp.join(DOCS, 'benchmarks', name)
        text = make(read_json(path)).rstrip() if osp.isfile(path) else 'Not measured.'
        begin, end = f'<!-- {mark}: begin -->', f'<!-- {mark}: end -->'
        page_text = replace_between(page_text, begin, end, f'\n\n{text}\n\n', f'docs/{page}')
    return page_text


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.collect:
        generalization = osp.join(DOCS, 'benchmarks', 'generalization.json')
        write_json(generalization, collect_runs(args.collect))
    pages = {
        'benchmarks.md': benchmarks_page(osp.join(DOCS, 'benchmarks')),
        'robustnet.md': with_table(
            'robustnet.md', ('generalization', 'generalization.json', generalization_table)
        ),
        'experiments.md': with_table(
            'experiments.md',
            ('alignment', 'camvid_alignment.json', alignment_table),
            ('recipe', 'camvid_recipe.json', recipe_table),
            ('strides', 'stride_limits.json', stride_limits_table),
        ),
        'deployment.md': with_table(
            'deployment.md',
            ('precision', 'precision.json', precision_table),
            ('forms of the warp', 'warp_forms.json', warp_forms_line),
        ),
    }
    for name, text in pages.items():
        path = osp.join(DOCS, name)
        if args.check:
            if not osp.isfile(path) or get_text(path) != text:
                raise ValueError(f'docs/{name} is out of date: run make_benchmarks.py')
        else:
            write_text(path, text)
            print(f'wrote {path}')


if __name__ == '__main__':
    main()
