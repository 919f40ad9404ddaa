"""Draw the data set mini-UDS."""

import argparse
from collections.abc import Sequence

from sfnet_mm.mini_uds import ensure_mini_uds
from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw street scenes in the layouts of Cityscapes, IDD, Mapillary Vistas and '
        'BDD100K. Configs of mini-UDS do this by themselves on first use.'
    )
    parser.add_argument(
        'data_root', nargs='?', default='data/mini_uds', help='folder of the scenes'
    )
    parser.add_argument(
        '--train', type=int, default=60, help='number of training images per source (60)'
    )
    parser.add_argument(
        '--val', type=int, default=12, help='number of validation images per source (12)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawings (0)')
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    root = ensure_mini_uds(args.data_root, args.train, args.val, args.seed, args.workers)
    print(f'{root} is complete')


if __name__ == '__main__':
    main()
