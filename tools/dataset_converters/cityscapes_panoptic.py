"""Write panoptic maps and annotations of Cityscapes in the format of mmdet."""

import argparse
from collections.abc import Sequence

from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write cityscapes_panoptic_{split}_mmdet.json and a folder of panoptic PNGs '
        'from gtFine/{split}/*/*_gtFine_instanceIds.png, with things before stuff. Maps that are '
        'there already are kept, so that an interrupted run goes on.'
    )
    parser.add_argument('data_root', help='folder that holds gtFine and leftImg8bit')
    parser.add_argument(
        '--splits', nargs='+', default=['train', 'val'], help='splits to convert (train val)'
    )
    parser.add_argument(
        '--out', '--out-dir', dest='out', help='folder to write to (DATA_ROOT/gtFine)'
    )
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    from sfnet_mm.panoptic.cityscapes_maps import convert_cityscapes  # needs mmdet

    for split in args.splits:
        path, written, kept = convert_cityscapes(args.data_root, split, args.out, args.workers)
        print(f'{path}: {written} maps written, {kept} were there already')


if __name__ == '__main__':
    main()
