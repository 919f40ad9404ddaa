"""What is known of a model and of the machine it is timed on: operations, memory, names."""

import copy
import os
import platform
from typing import Any, Callable, Optional, Tuple

import torch
from mmseg.models import EncoderDecoder
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sfnet_mm.deploy.inference.optimize import InferenceModel
from sfnet_mm.deploy.model import input_channels


def complexity(model: nn.Module, size: Tuple[int, int]) -> Tuple[int, int]:
    """Parameters and multiply-adds of what runs at inference; computes nothing."""
    kind = InferenceModel
    if not isinstance(model, EncoderDecoder):
        from sfnet_mm.panoptic.export import PanopticGraph as kind
    form = kind(copy.deepcopy(model)).eval()
    # Not the device "meta": autocast, which K-Net switches off in places, does not know it.
    # Nor without gradients, for which some convolutions pad their channels.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.enable_grad():
        form = form.to_empty(device='cpu')
        image = torch.empty(1, input_channels(model), *size)
        with FlopCounterMode(display=False) as counter:
            form(image)
    return sum(p.numel() for p in form.parameters()), counter.get_total_flops() // 2


def device_name(device: str) -> str:
    """The processor, with its cores or its memory, and the versions that matter."""
    if device.startswith('cuda'):
        found = torch.cuda.get_device_properties(device)
        where = f'{found.name}, {found.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}'
    else:
        where = f'{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads'
    return f'{where}, torch {torch.__version__}'


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


def cpu_model() -> str:
    """The name of the processor."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            return next(
                line.split(':', 1)[1].strip() for line in f if line.startswith('model name')
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
