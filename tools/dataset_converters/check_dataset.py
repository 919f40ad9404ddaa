"""Check a folder of images and a folder of masks, and recommend settings of a config.

    python tools/dataset_converters/check_dataset.py IMAGES MASKS --classes 3
    python tools/dataset_converters/check_dataset.py IMAGES MASKS --fix OUT --colors colors.txt

An image and its mask have the same path in their folders, except for the suffix. Each problem is
one line. The exit code is 0 if there is none (with --fix: none in the masks that were written).
"""

import argparse
import os.path as osp
from collections.abc import Sequence
from functools import partial

from sfnet_mm.datasets.clean_masks import ColorTable, clean_masks, read_color_table
from sfnet_mm.datasets.folder_advice import (
    describe_classes,
    draw_overlays,
    list_colors,
    recommendation,
)
from sfnet_mm.datasets.folder_check import FolderReport, check_folders
from sfnet_mm.datasets.folder_files import find_files
from sfnet_mm.utils.tooling import check_out_file, one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('images', help='folder of the images')
    parser.add_argument('masks', help='folder of the masks, in which 255 is ignored')
    parser.add_argument('--classes', type=int, help='number of classes (the largest id + 1)')
    parser.add_argument(
        '--reduce-zero-label',
        action='store_true',
        help='id 0 is not a class; the classes begin at id 1',
    )
    parser.add_argument(
        '--img-suffix', default='', help='end of the names, such as _leftImg8bit.png (any image)'
    )
    parser.add_argument(
        '--seg-map-suffix', default='', help='end of the names of the masks, such as _L.png'
    )
    parser.add_argument('--fix', metavar='OUT', help='folder of the clean masks to write')
    parser.add_argument(
        '--colors',
        metavar='TABLE',
        help='text file for --fix with a line "R G B ID" for each color, or "ID NEW_ID" for an id',
    )
    parser.add_argument(
        '--picture', metavar='FILE', help='PNG to write, with twelve masks over their images'
    )
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    args = parser.parse_args(argv)
    if args.colors and not args.fix:
        parser.error('--colors TABLE is read for --fix OUT only: give both')
    return args


def show(report: FolderReport) -> None:
    """Print what was found."""
    for problem in report.problems:
        print(f'wrong: {problem}')
    if not report.problems:
        print(f'Nothing is wrong with {len(report.facts):,} images and their masks.')
    lines = recommendation(report)
    if lines:
        print(
            '\n'.join(['', *describe_classes(report), '', 'A config for these masks says:', *lines])
        )
    lines = list_colors(report)
    if lines:
        print('\n'.join(['', 'Colors of the masks, to be given ids in a table:', *lines]))


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    for folder in (args.images, args.masks):
        if args.fix and osp.join(osp.realpath(args.fix), '').startswith(
            osp.join(osp.realpath(folder), '')
        ):
            raise ValueError(f'--fix {args.fix} is in {folder}: choose a folder outside')
    table = read_color_table(args.colors) if args.colors else ColorTable()
    if args.picture:
        check_out_file(args.picture)
    check = partial(
        check_folders,
        args.images,
        num_classes=args.classes,
        reduce_zero_label=args.reduce_zero_label,
        img_suffix=args.img_suffix,
        workers=args.workers,
    )
    report = check(args.masks, seg_map_suffix=args.seg_map_suffix)
    show(report)
    if args.fix:
        masks = find_files(args.masks, args.seg_map_suffix)
        names = {path: name for name, path in masks.items()}
        lines = clean_masks(report, names, args.fix, table, args.workers)
        for line in lines:
            print(f'not written: {line}')
        print(f'\nChecking the masks in {args.fix}:')
        report = check(args.fix, seg_map_suffix='.png')
        show(report)
    if args.picture:
        print(f'\n{draw_overlays(report, args.picture)} shows masks over images')
    if report.problems:
        raise ValueError(f'{len(report.problems)} things are wrong: the lines above name them')


if __name__ == '__main__':
    main()
