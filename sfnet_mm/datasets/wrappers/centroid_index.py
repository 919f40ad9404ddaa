"""Indexes the centroids of the pixels of each class, tile by tile.

Class-uniform sampling uses the index (Improving Semantic Segmentation via Video Propagation and
Label Relaxation, https://arxiv.org/abs/1812.01593, section 3.3). SFNet trains with this sampling
(SFNet paper, section 3.5; authors' ``uniform.build_centroids``).
"""

from __future__ import annotations

import hashlib
import json
import os
import os.path as osp
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from filelock import FileLock
from mmengine.logging import print_log

from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.utils.tooling import atomic_file

# A unit of work has this many masks. An interrupted build loses at most one unit per process.
CHUNK = 32
FORMAT = 1


def tile_edges(size: int, tile: int) -> np.ndarray:
    """Divide a side into the smallest number of equal tiles of at most ``tile`` pixels.

    A side that ``tile`` divides gets the authors' tiles. Any other is covered completely, where
    the authors' code drops the remainder (and so finds no tile at all in images of 720 rows).

    Returns:
        Array (tiles + 1,), the edges from 0 to ``size``.
    """
    count = -(-size // tile)
    return np.arange(count + 1) * size // count


def class_centroids(mask: np.ndarray, tile: int, num_classes: int) -> np.ndarray:
    """Find the centroid of every class in every tile that has it.

    Args:
        mask: Train ids (H, W), uint8; ids from ``num_classes`` on are ignored.
        tile: Side of the tiles in pixels.
        num_classes: Number of classes.

    Returns:
        Array (M, 3), int32: class, x and y of the pixel in which the mean of the coordinates lies.
        Tiles are in reading order, classes ascending. The pixel need not belong to the class.
    """
    # A run has pixels of one class along a row of a tile. Two million pixels have about 10,000
    # runs.
    height, width = mask.shape
    xs, ys = tile_edges(width, tile), tile_edges(height, tile)
    begins = np.empty((height, width), dtype=bool)
    np.not_equal(mask[:, 1:], mask[:, :-1], out=begins[:, 1:])
    begins[:, xs[:-1]] = True
    begin = np.flatnonzero(begins)
    length = np.diff(begin, append=mask.size)
    category = mask.reshape(-1)[begin]
    labeled = category < num_classes
    begin, length, category = begin[labeled], length[labeled], category[labeled]
    y, x = np.divmod(begin, width)

    # Sums over the runs of each class in each tile are integers, which are exact in float64.
    column, row = (np.searchsorted(e, v, side='right') - 1 for e, v in ((xs, x), (ys, y)))
    group = (row * (len(xs) - 1) + column) * num_classes + category
    pixels = np.bincount(group, length)
    here = np.flatnonzero(pixels)
    x_mean = np.bincount(group, length * (2 * x + length - 1) // 2)[here] // pixels[here]
    y_mean = np.bincount(group, length * y)[here] // pixels[here]
    return np.stack([here % num_classes, x_mean, y_mean], axis=1).astype(np.int32)


@dataclass(frozen=True)
class CentroidIndex:
    """Centroids of a list of masks.

    Args:
        mask: (M,), position of the mask in the list.
        category: (M,), class.
        x: (M,), column in pixels of the mask.
        y: (M,), row in pixels of the mask.
    """

    mask: np.ndarray
    category: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.mask)

    @classmethod
    def read_or_build(
        cls,
        infos: Sequence[Mapping[str, Any]],
        load: Callable[[Mapping[str, Any]], np.ndarray],
        tile: int,
        num_classes: int,
        *,
        label_space: str = '',
        folder: str | None = None,
        workers: int | None = None,
    ) -> CentroidIndex:
        """Read the index of some masks, or build it if it does not exist.

        The index is kept in ``.centroids/`` beside the masks, under a key of everything it depends
        on: the paths, sizes and times of the masks, the tile and the label space. One process
        builds it while others wait; an interrupted build continues where it stopped.

        Args:
            infos: One ``dict(seg_map_path=..., ...)`` per mask.
            load: Function that returns the train ids (H, W), uint8, of one of ``infos``; it must be
                picklable.
            tile: Side of the tiles in pixels.
            num_classes: Number of classes.
            label_space: Text that changes whenever ``load`` returns other ids for the same file.
            folder: Folder of the index; None takes the one beside the masks.
            workers: Number of processes; None takes one per CPU.

        Raises:
            ValueError: There are no masks, or ``tile`` or ``num_classes`` is out of range.
            FileNotFoundError: A mask does not exist.
        """
        if not infos:
            raise ValueError('centroid index: the data set holds no images')
        if tile < 1 or not 0 < num_classes < 255:
            raise ValueError(
                f'centroid index: tile={tile} must be positive and '
                f'num_classes={num_classes} in 1..254'
            )
        key = index_key([info['seg_map_path'] for info in infos], tile, num_classes, label_space)
        path = osp.join(_index_folder(infos, folder), f'{key}.npz')
        index = cls.read(path, key)
        if index is not None:
            return index
        # The system releases the lock of a process that dies, and the next process takes over.
        with FileLock(f'{osp.splitext(path)[0]}.lock'):
            index = cls.read(path, key)
            if index is None:
                print_log(f'Centroids of {len(infos)} masks are indexed into {path}', 'current')
                parts = f'{osp.splitext(path)[0]}.parts'
                index = _build(infos, load, tile, num_classes, parts, workers)
                index.write(path, key)
                shutil.rmtree(parts, ignore_errors=True)
        return index

    @classmethod
    def read(cls, path: str, key: str) -> CentroidIndex | None:
        """Read the index in a file; None if it is missing, broken or made from other data."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                if str(stored['key']) != key:
                    print_log(f'{path} was made from other data and is built again', 'current')
                    return None
                return cls(**{k: stored[k] for k in ('mask', 'category', 'x', 'y')})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            print_log(f'{path} is not a centroid index and is built again', 'current')
            return None

    def write(self, path: str, key: str) -> None:
        """Write the index atomically."""
        with atomic_file(path) as temporary, open(temporary, 'wb') as file:
            np.savez(file, key=key, mask=self.mask, category=self.category, x=self.x, y=self.y)


def index_key(paths: Sequence[str], tile: int, num_classes: int, label_space: str) -> str:
    """Compute a digest of everything that an index depends on.

    Raises:
        FileNotFoundError: A mask does not exist.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, tile, num_classes, label_space]).encode())
    for path in paths:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            raise FileNotFoundError(
                f'mask {path} does not exist: check data_root and data_prefix of the data set'
            ) from None
        digest.update(f'{osp.abspath(path)}\0{status.st_size}\0{status.st_mtime_ns}\n'.encode())
    return digest.hexdigest()[:20]


def _index_folder(infos: Sequence[Mapping[str, Any]], folder: str | None) -> str:
    """Choose the folder of the index: the given one, else beside the masks, else a user's cache."""
    if folder is None:
        masks = {osp.dirname(osp.abspath(info['seg_map_path'])) for info in infos}
        folder = osp.join(osp.commonpath(masks), '.centroids')
        if not os.access(osp.dirname(folder), os.W_OK):
            cache = os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache')
            folder = osp.join(cache, 'sfnet_mm', 'centroids')
    os.makedirs(folder, exist_ok=True)
    return folder


def _build(
    infos: Sequence[Mapping[str, Any]],
    load: Callable,
    tile: int,
    num_classes: int,
    parts: str,
    workers: int | None,
) -> CentroidIndex:
    """Index all masks in chunks and store each result in ``parts``, so that memory stays flat."""
    os.makedirs(parts, exist_ok=True)
    starts = range(0, len(infos), CHUNK)
    missing = [
        (start, infos[start : start + CHUNK])
        for start in starts
        if not osp.exists(osp.join(parts, f'{start}.npy'))
    ]
    work = partial(_index_chunk, load=load, tile=tile, num_classes=num_classes, parts=parts)
    parallel_map(work, missing, workers)
    files = (osp.join(parts, f'{start}.npy') for start in starts)
    rows = np.concatenate([np.load(file, allow_pickle=False) for file in files])
    mask, category, x, y = np.ascontiguousarray(rows.T)
    return CentroidIndex(mask, category.astype(np.uint8), x, y)


def _index_chunk(chunk: tuple, load: Callable, tile: int, num_classes: int, parts: str) -> None:
    start, infos = chunk
    rows = []
    for i, info in enumerate(infos):
        centroids = class_centroids(load(info), tile, num_classes)
        mask = np.full((len(centroids), 1), start + i, dtype=np.int32)
        rows.append(np.hstack([mask, centroids]))
    with atomic_file(osp.join(parts, f'{start}.npy')) as temporary, open(temporary, 'wb') as file:
        np.save(file, np.concatenate(rows))
