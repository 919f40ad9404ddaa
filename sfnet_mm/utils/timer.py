"""Measures how long a block takes, on the CPU or on CUDA."""

import time
from typing import Any

import torch

# This many bytes are written before a block whose kernels are timed. They are more than a cache
# holds, and writing them takes long enough for the CPU to queue the whole block.
_FLUSH_BYTES, _FLUSHES = 2**29, 4


class Timer:
    """Context manager that measures the milliseconds of the block inside it.

    On CUDA, the block starts when all earlier work is done, and ends when its own work is.

    Args:
        device: Device that works in the block, such as ``'cpu'`` or ``'cuda:0'``.
        kernels_only: On CUDA, measure the time between two events on the device instead. The caches
            are emptied before, and the launches of the kernels are not measured.

    Attributes:
        milliseconds: Time of the latest block.
    """

    def __init__(self, device: str = 'cpu', kernels_only: bool = False) -> None:
        self.device, self.cuda = device, device.startswith('cuda')
        self.kernels_only = kernels_only and self.cuda
        self.milliseconds = 0.0
        if self.kernels_only:
            self._flush = torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device=device)

    def __enter__(self) -> 'Timer':
        if self.kernels_only:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            for _ in range(_FLUSHES):
                self._flush.zero_()
            self._events[0].record()
        else:
            self._synchronize()
            self._begin = time.perf_counter()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self.kernels_only:
            self._events[1].record()
        self._synchronize()
        if self.kernels_only:
            self.milliseconds = self._events[0].elapsed_time(self._events[1])
        else:
            self.milliseconds = 1000 * (time.perf_counter() - self._begin)

    def _synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)
