"""Times calls that take turns, on the CPU or on CUDA."""

import statistics
import time
from typing import Any, Callable, Dict, List

import torch

from .memory import peak_memory


class Clock:
    """Milliseconds and peak memory of a call.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
    """

    # Written before each call on CUDA: more than a cache holds, and work enough for the host to
    # queue the whole call meanwhile, so that neither warm caches nor launches are timed.
    _FLUSH_BYTES, _FLUSHES = 2**29, 4

    def __init__(self, device: str) -> None:
        self.cuda = device == 'cuda'
        if self.cuda:
            self.flush = torch.empty(self._FLUSH_BYTES, dtype=torch.uint8, device=device)

    def time(self, call: Callable[[], Any]) -> float:
        """Milliseconds of one call."""
        if self.cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            for _ in range(self._FLUSHES):
                self.flush.zero_()
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize()
            return begin.elapsed_time(end)
        start = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - start)

    def peak(self, call: Callable[[], Any]) -> float:
        """MB that the call held at most beyond what was held before, its results included."""
        if self.cuda:
            return peak_memory(call, 'cuda') / 1e6
        with torch.profiler.profile(profile_memory=True) as profile:
            kept = call()
        del kept
        held = most = 0
        events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
        for event in sorted(events, key=lambda e: e.start_ns()):
            held += event.nbytes()
            most = max(most, held)
        return most / 1e6

    def race(self, calls: Dict[str, Callable[[], Any]], rounds: int) -> Dict[str, Dict[str, float]]:
        """The shortest and the median time of each call; they take turns."""
        for call in calls.values():
            call()
        times: Dict[str, List[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                times[name].append(self.time(call))
        return {k: {'min': min(v), 'median': statistics.median(v)} for k, v in times.items()}
