"""Show which IoU of each class the stride of a network's logits leaves, from the labels alone.

    python tools/analysis_tools/stride_limits.py CONFIG [--strides 2 4 8] [--out JSON]

The labels of the validation set go through a grid of each stride and back. A class that loses much,
such as poles, needs larger images or logits of a smaller stride; a class that does not, and is
still not learned, is missing for another reason. Those of SFNet have stride 4.
"""

import argparse
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmengine.utils import track_iter_progress

from sfnet_mm.engine.data_check import read_data_set
from sfnet_mm.evaluation.stride_limit import stride_limits, stride_limits_table
from sfnet_mm.utils.config import read_with_options
from sfnet_mm.utils.config_parts import add_config_options, data_sets, type_name
from sfnet_mm.utils.tooling import check_out_file, one_error_line, write_json


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--strides', type=int, nargs='+', default=[2, 4, 8], help='strides in pixels (2 4 8)'
    )
    parser.add_argument('--out', help='file for the result as JSON')
    add_config_options(parser)
    args = parser.parse_args(argv)
    if min(args.strides) < 1:
        parser.error(f'--strides {" ".join(map(str, args.strides))} must be positive')
    return args


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.out:
        check_out_file(args.out)
    cfg = read_with_options(args.config, args.cfg_options)
    if not cfg.get('val_dataloader'):
        raise ValueError(f'config {args.config} has no val_dataloader: there are no labels to read')
    for part in data_sets(cfg.val_dataloader):
        # The labels keep their size in a test pipeline, and images are not needed.
        labels_only = [step for step in part.pipeline if 'Annotations' in type_name(step)]
        part.pipeline = [*labels_only, dict(type='PackSegInputs')]
    dataset = read_data_set(cfg.val_dataloader.dataset, 'val')
    samples = track_iter_progress((map(dataset.__getitem__, range(len(dataset))), len(dataset)))
    classes = list(dataset.metainfo['classes'])
    ignore_index = getattr(dataset, 'ignore_index', 255)  # wrappers have none
    labels = (sample['data_samples'].gt_sem_seg.data[0] for sample in samples)
    result = dict(
        config=args.config,
        images=len(dataset),
        classes=classes,
        limits=stride_limits(labels, len(classes), args.strides, ignore_index),
    )
    print(f'\n{stride_limits_table(result)}', end='')
    if args.out:
        write_json(args.out, result)


if __name__ == '__main__':
    main()
