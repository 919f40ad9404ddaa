"""Measures the peak memory of a call."""

from collections.abc import Callable
from typing import Any

import torch


def peak_memory(call: Callable[[], Any], device: str) -> int | None:
    """Return the peak bytes of a call above those in use before it, or None if not known."""
    if device.startswith('cuda'):
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        with open('/proc/self/clear_refs', 'w', encoding='ascii') as f:
            f.write('5')
        before = _status_kib('VmRSS')
        call()
        return max(0, _status_kib('VmHWM') - before) * 1024
    except OSError:
        return None


def peak_of_tensors(call: Callable[[], Any], device: str) -> int:
    """Return the peak bytes of the tensors that a call makes, including its results."""
    if device.startswith('cuda'):
        return peak_memory(call, device)
    with torch.profiler.profile(profile_memory=True) as profile:
        kept = call()
    del kept
    held = most = 0
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def _status_kib(name: str) -> int:
    with open('/proc/self/status', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith(f'{name}:'))
