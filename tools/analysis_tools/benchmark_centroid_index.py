"""Time the centroid index of class-uniform sampling against a scan per class and tile.

The tool draws masks of street-like regions with the ids of Cityscapes (or takes your own), indexes
them, and prints seconds, speed-up, the largest difference in pixels and the memory that the index
added. The scan does what the authors' code does: it translates the ids by one comparison each, and
looks for every class in every tile. Both use the same number of processes.
"""

import argparse
import json
import os
import os.path as osp
import resource
import tempfile
import time
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.utils import scandir
from scipy.ndimage import center_of_mass

from sfnet_mm.benchmark.drawn_masks import TABLE, draw_mask
from sfnet_mm.datasets.wrappers import CentroidIndex
from sfnet_mm.utils.arguments import check_least
from sfnet_mm.utils.parallel import available_cpus, parallel_map
from sfnet_mm.utils.tooling import one_error_line, write_json


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--masks', help='folder with masks of Cityscapes ids (*.png)')
    parser.add_argument('--num', type=int, default=1000, help='number of masks that are drawn')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(1024, 2048),
        metavar=('H', 'W'),
        help='height and width of the masks that are drawn',
    )
    parser.add_argument('--tile', type=int, default=1024, help='side of a tile in pixels')
    parser.add_argument('--workers', type=int, help='number of processes; default: one per CPU')
    parser.add_argument(
        '--scanned',
        type=int,
        default=50,
        help='number of masks for the scan; its time is scaled to all',
    )
    parser.add_argument('--out', help='JSON file')
    return parser.parse_args(argv)


CLASSES = 19


def read_ids(info):
    return cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)


def read(info):
    return cv2.LUT(read_ids(info), TABLE.lut)


def scan(job):
    """Find the centroids (class, x, y) of a mask by a comparison for every tile and class."""
    info, tile, classes = job
    ids = read_ids(info)
    mask = ids.copy()
    for label_id in TABLE.known_ids:
        mask[ids == label_id] = TABLE.train_ids.get(label_id, 255)
    found = []
    for top in range(0, mask.shape[0] // tile * tile, tile):
        for left in range(0, mask.shape[1] // tile * tile, tile):
            patch = mask[top : top + tile, left : left + tile]
            for category in range(classes):
                if category in patch:
                    y, x = center_of_mass((patch == category).astype(int))
                    found.append((category, int(x) + left, int(y) + top))
    return found


def peak_memory():
    """Peak resident memory in MiB of this process and of the largest child."""
    return [
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]


class Timer:
    """Measures wall-clock and CPU seconds of a block, including those of its ended workers."""

    def __enter__(self):
        self.begin = self.now()
        return self

    def __exit__(self, *exc_info):
        self.wall, self.cpu = (end - begin for begin, end in zip(self.begin, self.now()))

    @staticmethod
    def now():
        return time.perf_counter(), sum(os.times()[:4])


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    bounds = dict(num=args.num, tile=args.tile, scanned=args.scanned)
    check_least('benchmark_centroid_index.py', 1, **bounds)
    workers = args.workers or available_cpus()
    with tempfile.TemporaryDirectory() as folder:
        if args.masks:
            names = sorted(scandir(args.masks, '.png', recursive=True))
            paths = [osp.join(args.masks, name) for name in names]
            if not paths:
                raise FileNotFoundError(f'--masks {args.masks} holds no *.png')
        else:
            paths = [f'{folder}/{i:06d}.png' for i in range(args.num)]
            jobs = [(p, i, tuple(args.size)) for i, p in enumerate(paths)]
            print(f'drawing {len(paths)} masks')
            parallel_map(draw_mask, jobs, workers)
        infos = [dict(seg_map_path=path) for path in paths]
        memory = peak_memory()

        with Timer() as build:
            index = CentroidIndex.read_or_build(
                infos, read, args.tile, CLASSES, folder=f'{folder}/index', workers=workers
            )
        with Timer() as reread:
            CentroidIndex.read_or_build(infos, read, args.tile, CLASSES, folder=f'{folder}/index')
        grown = [round(a - b, 1) for a, b in zip(peak_memory(), memory)]

        sample = infos[:: max(1, len(infos) // args.scanned)][: args.scanned]
        with Timer() as scanning:
            scanned = parallel_map(scan, [(i, args.tile, CLASSES) for i in sample], workers)
        times = len(infos) / len(sample)

    differences = []
    positions = {info['seg_map_path']: i for i, info in enumerate(infos)}
    for info, found in zip(sample, scanned):
        here = index.mask == positions[info['seg_map_path']]
        rows = np.stack([index.category[here], index.x[here], index.y[here]], 1).astype(int)
        if len(rows) == len(found) and (rows[:, 0] == [f[0] for f in found]).all():
            differences.append(int(np.abs(rows - np.array(found)).max(initial=0)))
    result = dict(
        masks=len(infos),
        size=list(args.size) if not args.masks else None,
        tile=args.tile,
        workers=workers,
        centroids=len(index),
        seconds_build=round(build.wall, 2),
        cpu_milliseconds_per_mask=round(1000 * build.cpu / len(infos), 2),
        seconds_read_again=round(reread.wall, 3),
        scanned=len(sample),
        seconds_scan_of_all=round(times * scanning.wall, 1),
        cpu_milliseconds_per_scanned_mask=round(1000 * scanning.cpu / len(sample), 1),
        speed_up=round(times * scanning.wall / build.wall, 1),
        speed_up_in_cpu_time=round(times * scanning.cpu / build.cpu, 1),
        compared=len(differences),
        largest_difference_px=max(differences, default=None),
        grown_mib_self=grown[0],
        grown_mib_worker=grown[1],
    )
    print(json.dumps(result, indent=1))
    if args.out:
        write_json(args.out, result)


if __name__ == '__main__':
    main()
