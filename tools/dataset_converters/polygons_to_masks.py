"""Draw masks of ids from images that are labeled by polygons.

    python tools/dataset_converters/polygons_to_masks.py instances.json masks --classes leaf fruit
    python tools/dataset_converters/polygons_to_masks.py LABELME_FOLDER masks --classes leaf fruit

It reads a COCO file of instances ("COCO 1.0" in CVAT; this needs pycocotools), or a folder of the
.json files that LabelMe writes beside images. The first class has the id 0, the next 1, and so on.
"""

import argparse
from collections.abc import Sequence

from sfnet_mm.datasets.polygon_masks import polygon_masks, write_masks
from sfnet_mm.utils.tooling import one_error_line


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', help='COCO file, or folder of LabelMe files')
    parser.add_argument('out', help='folder of the masks')
    parser.add_argument(
        '--classes', nargs='+', required=True, help='names of the classes in the order of their ids'
    )
    parser.add_argument(
        '--rest', default='ignore', help='class of the pixels that no shape covers, or ignore'
    )
    args = parser.parse_args(argv)
    if args.rest not in ('ignore', *args.classes):
        raise ValueError(f'--rest {args.rest} is neither one of the classes nor ignore')
    rest = 255 if args.rest == 'ignore' else args.classes.index(args.rest)
    count = write_masks(polygon_masks(args.annotations, args.classes, rest), args.out)
    print(f'{count} masks written to {args.out}; check them by check_dataset.py')


if __name__ == '__main__':
    main()
