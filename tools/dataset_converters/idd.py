"""Draw the masks of India Driving (IDD) from its polygons."""

import argparse
import sys
from collections.abc import Sequence

from sfnet_mm.datasets.idd_masks import convert_idd
from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw gtFine/{split}/{drive}/*_gtFine_labelids.png from the polygons of India '
        'Driving. Masks that are there already are kept, so that an interrupted run goes on.'
    )
    parser.add_argument('data_root', help='folder that holds gtFine and leftImg8bit')
    parser.add_argument(
        '--splits', nargs='+', default=['train', 'val'], help='splits to convert (train val)'
    )
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    parser.add_argument('--force', action='store_true', help='also draw masks that exist')
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    written, kept, errors = convert_idd(
        args.data_root, tuple(args.splits), args.workers, args.force
    )
    print(f'{written} masks written, {kept} were there already, {len(errors)} failed')
    for line in errors:
        print(f'failed: {line}', file=sys.stderr)
    if errors:
        raise ValueError(f'{len(errors)} masks were not drawn: the lines above name them')


if __name__ == '__main__':
    main()
