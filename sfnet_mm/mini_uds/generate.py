"""Draws the data set on disk unless it exists."""

from __future__ import annotations

import glob
import json
import os
import os.path as osp
import shutil
from functools import partial

import numpy as np
from filelock import FileLock, Timeout
from mmengine.utils import scandir

from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.utils.tooling import read_json, write_text

from .domains import DOMAINS
from .scene import paint_scene
from .writers import WRITERS

# This version must be raised when the drawings change, so that old ones are replaced.
VERSION = 1
MARKER = 'mini_uds.json'
SPLITS = ('train', 'val')


def _draw(root: str, seed: int, task: tuple[int, str, int]) -> None:
    """Paint and write one picture; its random state depends only on its name."""
    index, split, number = task
    domain = DOMAINS[index]
    rng = np.random.default_rng([seed, index, SPLITS.index(split), number])
    scene = paint_scene(domain, rng, number)
    WRITERS[domain.name](osp.join(root, domain.name), split, number, scene)


def _count(root: str) -> int:
    """Count the images, masks and polygon files of the four sources."""
    folders = [osp.join(root, domain.name) for domain in DOMAINS]
    return sum(1 for folder in folders for _ in scandir(folder, recursive=True))


def _is_complete(root: str, wanted: dict) -> bool:
    """Return whether ``root`` has the complete data set with these settings."""
    try:
        marker = read_json(osp.join(root, MARKER))
        return marker['request'] == wanted and marker['files'] <= _count(root)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def ensure_mini_uds(
    root: str | os.PathLike,
    train: int = 60,
    val: int = 12,
    seed: int = 0,
    workers: int | None = None,
) -> str:
    """Draw the data set unless it exists already, and print one line.

    The pictures are drawn into a hidden folder beside ``root``, which is renamed when it is
    complete. So a run that was killed leaves no partial data set, and the next one starts again.
    One process draws while others wait.

    Args:
        root: Folder of ``cityscapes``, ``idd``, ``mapillary`` and ``bdd``.
        train: Number of training images per source.
        val: Number of validation images per source.
        seed: Seed of the drawings.
        workers: Number of processes; None takes one per CPU.

    Returns:
        The absolute path of ``root``.

    Raises:
        ValueError: A number of images is below 1, or the seed is negative.
        FileExistsError: ``root`` has other files, which are not touched.
        OSError: ``root`` cannot be written.
    """
    if train < 1 or val < 1 or seed < 0:
        raise ValueError(
            f'mini_uds: train={train} and val={val} must be at least 1 and seed={seed} at least 0'
        )
    root = osp.abspath(root)
    parent, name = osp.split(root)
    wanted = {'version': VERSION, 'seed': seed, 'train': train, 'val': val}
    if _is_complete(root, wanted):
        return root
    _refuse_foreign(root)
    lock = FileLock(osp.join(parent, f'.{name}.lock'))
    try:
        os.makedirs(parent, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f'mini_uds: waiting for another process that draws {root}', flush=True)
            lock.acquire()
    except OSError as error:
        raise OSError(
            f'mini_uds: cannot write beside {root} ({error.strerror or error}); choose another '
            'data_root'
        ) from None
    try:
        if not _is_complete(root, wanted):
            _generate(root, wanted, workers)
    finally:
        lock.release()
    return root


def _is_known(root: str) -> bool:
    """Return whether mini_uds made ``root``."""
    return osp.isfile(osp.join(root, MARKER))


def _refuse_foreign(root: str) -> None:
    """Raise a FileExistsError if ``root`` has files that mini_uds did not make."""
    foreign = osp.exists(root) and not _is_known(root)
    if foreign and (not osp.isdir(root) or os.listdir(root)):
        raise FileExistsError(
            f'mini_uds: {root} exists and was not made by mini_uds; move it away or choose '
            'another data_root'
        )


def _generate(root: str, wanted: dict, workers: int | None) -> None:
    # Again, because another process may have written while this one waited.
    _refuse_foreign(root)
    _remove_leftovers(root)
    parent, name = osp.split(root)
    partial_root = osp.join(parent, f'.{name}.partial.{os.getpid()}')
    print(
        f'mini_uds: drawing {len(DOMAINS)} x {wanted["train"]} training and {len(DOMAINS)} x '
        f'{wanted["val"]} validation street scenes into {root} '
        f'({"in place of other or incomplete ones" if _is_known(root) else "only the first time"})',
        flush=True,
    )
    tasks = [
        (index, split, number)
        for split in SPLITS
        for number in range(wanted[split])
        for index in range(len(DOMAINS))
    ]
    try:
        os.mkdir(partial_root)
        parallel_map(partial(_draw, partial_root, wanted['seed']), tasks, workers)
        marker = {'request': wanted, 'files': _count(partial_root)}
        write_text(osp.join(partial_root, MARKER), json.dumps(marker))
        if osp.exists(root):
            os.replace(root, osp.join(parent, f'.{name}.old'))
        os.replace(partial_root, root)
    finally:
        _remove_leftovers(root)


def _remove_leftovers(root: str) -> None:
    """Remove the files that a killed run left beside ``root``."""
    parent, name = osp.split(root)
    for pattern in (f'.{glob.escape(name)}.partial.*', f'.{glob.escape(name)}.old'):
        for leftover in glob.glob(pattern, root_dir=parent):
            shutil.rmtree(osp.join(parent, leftover), ignore_errors=True)
