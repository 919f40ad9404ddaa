"""Write docs/model_zoo.md and the table of README.md.

    make_model_zoo.py           # write the page and the table
    make_model_zoo.py --count   # count parameters and multiply-adds of all models again
    make_model_zoo.py --check   # fail if one of them is out of date

Every number is stored once: those of the paper in ``sfnet_mm/model_zoo/paper_tables.yml``,
remarks on them in ``paper_notes.yml`` beside it, counts in ``docs/benchmarks/complexity.json``,
results of runs in ``Results`` of the metafiles.
"""

import argparse
import logging
import os.path as osp
import sys
import warnings
from collections.abc import Sequence

from mmengine.fileio import get_text
from mmengine.logging import MMLogger

import sfnet_mm  # noqa: F401  registers the models
from sfnet_mm.model_zoo.counts import read_counts, sizes_to_count, update_counts, write_counts
from sfnet_mm.model_zoo.metafiles import config_files, read_comparisons, read_models
from sfnet_mm.model_zoo.page import coverage_line, model_zoo_page, readme_table
from sfnet_mm.model_zoo.rows import Zoo
from sfnet_mm.utils.tooling import one_error_line, replace_between, write_text

ROOT = osp.abspath(osp.join(__file__, '..', '..', '..'))
PAGE, README = 'docs/model_zoo.md', 'README.md'
README_MARKERS = ('<!-- models: begin (made by `make docs`) -->\n', '<!-- models: end -->')


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--count', action='store_true', help='count all models again')
    parser.add_argument(
        '--check', action='store_true', help='only compare, and exit with 1 if outdated'
    )
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    warnings.simplefilter('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    models, files = read_models(ROOT), config_files(ROOT)
    wanted = sizes_to_count(models, files)
    stored = {} if args.count else read_counts(ROOT)
    counts, missing = update_counts(ROOT, files, wanted, stored, only_look=args.check)
    if missing:
        raise SystemExit(f'error: {missing[0]} is not counted: run make_model_zoo.py')
    zoo = Zoo(models, files, counts, compared=read_comparisons(ROOT))
    text = get_text(osp.join(ROOT, README))
    texts = {
        PAGE: model_zoo_page(zoo),
        README: replace_between(text, *README_MARKERS, readme_table(zoo), README),
    }
    if args.check:
        for name, text in texts.items():
            if get_text(osp.join(ROOT, name)) != text:
                raise SystemExit(f'error: {name} is out of date: run make_model_zoo.py')
    else:
        write_counts(ROOT, counts)
        for name, text in texts.items():
            write_text(osp.join(ROOT, name), text)
    state = 'up to date' if args.check else 'written'
    print(f'{PAGE} and {README} are {state}. {coverage_line(zoo)}', file=sys.stdout)


if __name__ == '__main__':
    main()
