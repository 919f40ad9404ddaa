"""Draw the masks of India Driving (IDD) from its polygons."""

import argparse
import sys

from sfnet_mm.datasets.idd_masks import convert_idd


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw gtFine/{split}/{drive}/*_gtFine_labelids.png from the polygons of India '
        'Driving. Masks that are there already are kept, so that an interrupted run goes on.'
    )
    parser.add_argument('data_root', help='folder that holds gtFine and leftImg8bit')
    parser.add_argument(
        '--splits', nargs='+', default=['train', 'val'], help='splits to convert (train val)'
    )
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    parser.add_argument('--force', action='store_true', help='draw masks that exist, too')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        written, kept, errors = convert_idd(
            args.data_root, tuple(args.splits), args.workers, args.force
        )
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{written} masks written, {kept} were there already, {len(errors)} failed')
    for line in errors:
        print(f'error: {line}', file=sys.stderr)
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
