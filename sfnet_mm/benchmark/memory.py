"""Peak memory of a call."""

from typing import Any, Callable, Optional

import torch


def peak_memory(call: Callable[[], Any], device: str) -> Optional[int]:
    """Peak bytes of one call above what was in use before it; None where the system cannot tell."""
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


def _status_kib(name: str) -> int:
    with open('/proc/self/status', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith(f'{name}:'))
