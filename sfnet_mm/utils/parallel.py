"""Maps a function over many items in several processes, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import cv2
from mmengine.utils import ProgressBar


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_map(
    func: Callable[[Any], Any], items: Sequence[Any], workers: int | None = None
) -> list[Any]:
    """Compute ``[func(item) for item in items]`` in several processes, with a progress bar.

    Args:
        func: A function that can be pickled.
        items: The arguments of the function.
        workers: Number of processes; None takes one per available CPU, and 0 or 1 work in this
            process.

    Returns:
        The results in the order of ``items``.

    Raises:
        BrokenProcessPool: A worker was killed; ``multiprocessing.Pool`` would wait forever.
        Exception: What ``func`` raises.
    """
    workers = min(available_cpus() if workers is None else workers, len(items))
    results: list[Any] = [None] * len(items)
    if not items:
        return results
    bar = _SparseProgressBar(len(items))
    if workers <= 1:
        for i, item in enumerate(items):
            results[i] = func(item)
            bar.update()
    else:
        with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
            futures = {pool.submit(func, item): i for i, item in enumerate(items)}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    print(flush=True)
    return results


def _start_worker() -> None:
    """Prepare a worker process."""
    # One process per CPU, so OpenCV must not start threads of its own.
    cv2.setNumThreads(0)
    # Ctrl-C reaches the whole process group; the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with its parent, or it would wait forever and hold the parent's locks."""
    multiprocessing.parent_process().join()
    os._exit(1)


class _SparseProgressBar:
    """mmengine's progress bar, which is drawn at most fifty times so that logs stay readable."""

    def __init__(self, total: int) -> None:
        self.bar = ProgressBar(total, file=sys.stdout)
        self.step = max(1, total // 50)
        self.total, self.waiting, self.done = total, 0, 0

    def update(self) -> None:
        self.waiting += 1
        self.done += 1
        if self.waiting == self.step or self.done == self.total:
            self.bar.update(self.waiting)
            self.waiting = 0
