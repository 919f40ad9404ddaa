"""Times the centroid index of class-uniform sampling against a scan per class and tile.

Draws masks of street-like regions (or takes your own), indexes them, and prints seconds, speed-up,
the largest difference in pixels and the memory that the build added.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import center_of_mass

from sfnet_mm.datasets.parallel import available_cpus, parallel_map
from sfnet_mm.datasets.wrappers import CentroidIndex


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--masks', help='folder with masks of train ids (*.png); default: drawn')
    parser.add_argument('--num', type=int, default=1000, help='number of masks that are drawn')
    parser.add_argument('--size', type=int, nargs=2, default=(1024, 2048), metavar=('H', 'W'))
    parser.add_argument('--tile', type=int, default=1024)
    parser.add_argument('--classes', type=int, default=19)
    parser.add_argument('--workers', type=int, help='processes; default: all CPUs')
    parser.add_argument(
        '--scanned',
        type=int,
        default=50,
        help='masks that the scan runs on; its time is scaled to all',
    )
    parser.add_argument('--out', help='also write the figures to this JSON file')
    return parser.parse_args()


def read(info):
    return cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)


def draw_mask(job):
    """A mask of smooth regions, about as many and as ragged as those of a street scene."""
    path, seed, (height, width), classes = job
    rng = np.random.default_rng(seed)
    present = rng.permutation(classes)[: rng.integers(classes // 2, classes)]
    coarse = rng.random((height // 64 + 2, width // 64 + 2, len(present)), dtype=np.float32)
    coarse = cv2.GaussianBlur(coarse, (0, 0), 2)
    best = np.full((height, width), -1, np.float32)
    mask = np.zeros((height, width), np.uint8)
    for i, category in enumerate(present):
        layer = cv2.resize(np.ascontiguousarray(coarse[..., i]), (width, height))
        higher = layer > best
        mask[higher], best[higher] = category, layer[higher]
    mask[-height // 20 :] = 255
    cv2.imwrite(path, mask)


def scan(job):
    """Centroids (class, x, y) of one mask: for every tile and class a comparison and a scan."""
    info, tile, classes = job
    mask = read(info)
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
    """Largest resident size so far in MiB, of this process and of the largest child."""
    return [
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]


def main():
    args = parse_args()
    workers = args.workers or available_cpus()
    with tempfile.TemporaryDirectory() as folder:
        if args.masks:
            paths = sorted(map(str, Path(args.masks).rglob('*.png')))
            if not paths:
                raise SystemExit(f'--masks {args.masks} holds no *.png')
        else:
            paths = [f'{folder}/{i:06d}.png' for i in range(args.num)]
            jobs = [(p, i, tuple(args.size), args.classes) for i, p in enumerate(paths)]
            print(f'drawing {len(paths)} masks')
            parallel_map(draw_mask, jobs, workers)
        infos = [dict(seg_map_path=path) for path in paths]
        memory = peak_memory()

        start = time.perf_counter()
        index = CentroidIndex.of(
            infos, read, args.tile, args.classes, folder=f'{folder}/index', workers=workers
        )
        built = time.perf_counter() - start
        start = time.perf_counter()
        CentroidIndex.of(infos, read, args.tile, args.classes, folder=f'{folder}/index')
        reread = time.perf_counter() - start
        grown = [round(a - b, 1) for a, b in zip(peak_memory(), memory)]

        sample = infos[:: max(1, len(infos) // args.scanned)][: args.scanned]
        start = time.perf_counter()
        scanned = parallel_map(scan, [(i, args.tile, args.classes) for i in sample], workers)
        scan_all = (time.perf_counter() - start) / len(sample) * len(infos)

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
        seconds_build=round(built, 2),
        milliseconds_per_mask=round(1000 * built / len(infos), 2),
        seconds_read_again=round(reread, 3),
        scanned=len(sample),
        seconds_scan_of_all=round(scan_all, 1),
        speed_up=round(scan_all / built, 1),
        compared=len(differences),
        largest_difference_px=max(differences, default=None),
        grown_mib_self=grown[0],
        grown_mib_worker=grown[1],
    )
    print(json.dumps(result, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
