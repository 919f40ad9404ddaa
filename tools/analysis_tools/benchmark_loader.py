"""Time the UDS training pipeline, with label mapping and centroid crops, beside mmseg's.

The tool draws pictures of 1024x2048 pixels in the layout of Cityscapes, with two kinds of masks:
ids, which the mapped data set translates, and train ids, which mmseg's data set reads. The
pipelines take turns, image by image, in one process, and draw the same random numbers.
"""

import argparse
import json
import os
import os.path as osp
import random
import statistics
import tempfile
import time
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from sfnet_mm import config_path
from sfnet_mm.benchmark.drawn_masks import TABLE, draw_mask
from sfnet_mm.utils.arguments import check_least
from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.utils.tooling import one_error_line, write_json

CONFIG = config_path('_base_/datasets/cityscapes.py')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=38, help='number of pictures')
    parser.add_argument(
        '--rounds', type=int, default=4, help='number of times that each picture is loaded'
    )
    parser.add_argument('--out', help='JSON file')
    return parser.parse_args(argv)


def draw(job):
    """Draw an image with its two masks."""
    root, i = job
    name = f'city/city_{i:06d}_000000'
    ids = osp.join(root, 'gtFine', 'train', f'{name}_gtFine_labelIds.png')
    image = osp.join(root, 'leftImg8bit', 'train', f'{name}_leftImg8bit.png')
    for path in (ids, image):
        os.makedirs(osp.dirname(path), exist_ok=True)
    draw_mask((ids, i, (1024, 2048)))
    mask = cv2.imread(ids, cv2.IMREAD_UNCHANGED)
    train_ids = ids.replace('labelIds', 'labelTrainIds')
    cv2.imwrite(train_ids, cv2.LUT(mask, TABLE.lut))
    rng = np.random.default_rng(i)
    colors = rng.integers(0, 255, (256, 3)).astype(np.uint8)
    noise = rng.normal(0, 6, (*mask.shape, 3))
    cv2.imwrite(image, np.clip(colors[mask] + noise, 0, 255).astype(np.uint8))


def datasets(root):
    """Build the data sets of 1024x1024 crops by name."""
    cfg = Config.fromfile(CONFIG)
    uniform = cfg.train_dataloader.dataset
    mapped = dict(uniform.dataset, data_root=root, sources=dict(cityscapes='.'))
    plain = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.75, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(1024, 1024), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackSegInputs'),
    ]
    prefix = dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')
    configs = {
        'mmseg': dict(type='CityscapesDataset', data_root=root, data_prefix=prefix, pipeline=plain),
        'mapped': mapped,
        'mapped, centroid crops': dict(uniform, dataset=mapped, seed=0, fraction=0.5),
    }
    return {name: DATASETS.build(config) for name, config in configs.items()}


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_least('benchmark_loader.py', 1, images=args.images, rounds=args.rounds)
    cv2.setNumThreads(1)
    init_default_scope('mmseg')
    seconds = {}
    with tempfile.TemporaryDirectory() as root:
        parallel_map(draw, [(root, i) for i in range(args.images)])
        sets = datasets(root)
        for turn in range(args.rounds + 1):
            for i in range(args.images):
                for name, dataset in sets.items():
                    random.seed(1000 * turn + i)
                    np.random.seed(1000 * turn + i)
                    start = time.process_time()
                    dataset[(turn, i) if 'crops' in name else i]
                    # The first round only warms the disk cache.
                    if turn:
                        seconds.setdefault(name, []).append(time.process_time() - start)
    result = {'images': args.images, 'rounds': args.rounds, 'size': [1024, 2048]}
    for name, values in seconds.items():
        mean = statistics.mean(values)
        result[name] = {
            'images_per_second_and_core': round(1 / mean, 2),
            'time_to_mmseg': round(mean / statistics.mean(seconds['mmseg']), 3),
        }
    print(json.dumps(result, indent=1))
    if args.out:
        write_json(args.out, result)


if __name__ == '__main__':
    main()
