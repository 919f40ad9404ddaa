"""Write panoptic maps and annotations of Cityscapes in the form that mmdet reads."""

import argparse
import sys
from typing import Optional, Sequence

from sfnet_mm.panoptic.cityscapes_maps import convert_cityscapes


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write cityscapes_panoptic_{split}_mmdet.json and a folder of panoptic PNGs '
        'from gtFine/{split}/*/*_gtFine_instanceIds.png, with things before stuff. Maps that are '
        'there already are kept, so that an interrupted run goes on.'
    )
    parser.add_argument('data_root', help='folder that holds gtFine and leftImg8bit')
    parser.add_argument(
        '--splits', nargs='+', default=['train', 'val'], help='splits to convert (train val)'
    )
    parser.add_argument('--out-dir', help='where the results go (DATA_ROOT/gtFine)')
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    args = parse_args(argv)
    try:
        for split in args.splits:
            path, written, kept = convert_cityscapes(
                args.data_root, split, args.out_dir, args.workers
            )
            print(f'{path}: {written} maps written, {kept} were there already')
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
