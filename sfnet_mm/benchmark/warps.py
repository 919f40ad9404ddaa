"""Times the flow warp in several implementations."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp, has_ext
from sfnet_mm.utils.timer import Timer

from .authors_composition import host_grid_gated_dual_warp, host_grid_warp
from .memory import peak_of_tensors

Row = dict[str, Any]

LAYOUTS = {'NCHW': torch.contiguous_format, 'channels_last': torch.channels_last}
DTYPES = {'cpu': ('float32', 'bfloat16'), 'cuda': ('float32', 'float16', 'bfloat16')}
# These are the implementations, with their names in a table.
WAYS = {
    'authors': 'authors',
    'compile_authors': 'compiled authors',
    'native': 'native',
    'compile': 'compiled native',
    'ext': 'ext',
}
# Each input has a number of channels, the size of the sampled map and the size of the output.
CASES = {
    ('FAM', '512x1024'): (128, (64, 128), (128, 256)),
    ('GD-FAM', '512x1024'): (128, (16, 32), (128, 256)),
    ('FAM', '1024x2048'): (128, (128, 256), (256, 512)),
    ('GD-FAM', '1024x2048'): (128, (32, 64), (256, 512)),
}


def functions(
    module: str, ways: Sequence[str], device: str, dtype: str
) -> dict[str, Callable[..., Tensor]]:
    """Return the implementations that can run, as functions of the inputs of a module."""
    single = module == 'FAM'
    ours = flow_warp if single else gated_dual_flow_warp
    authors = host_grid_warp if single else host_grid_gated_dual_warp
    found = {
        'authors': authors,
        'compile_authors': torch.compile(authors),
        'native': partial(ours, backend='native'),
        'compile': torch.compile(lambda *args: ours(*args, backend='native'), fullgraph=True),
        'ext': partial(ours, backend='ext'),
    }
    # The half-precision grid_sample of torch is wrong on the CPU for maps of this size.
    broken = {'authors', 'compile_authors'} if device == 'cpu' and dtype != 'float32' else set()
    missing = set() if has_ext() else {'ext'}
    return {name: found[name] for name in ways if name not in broken | missing}


def measure(
    case: tuple[tuple[str, str], str, str], ways: Sequence[str], device: str, rounds: int
) -> list[Row]:
    """Time one case and return its rows, forward and backward.

    Args:
        case: A key of ``CASES``, a key of ``LAYOUTS`` and the name of a dtype.
        ways: Names of implementations, some of ``WAYS``.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Number of turns of each implementation.
    """
    (module, size), layout, dtype = case
    _, _, out_size = CASES[module, size]
    timer = Timer(device, kernels_only=True)
    inputs = _inputs(module, size, layout, dtype, device)
    shape = (1, inputs[0].shape[1], *out_size)
    grad = torch.randn(shape, device=device).to(inputs[0].dtype)
    grad = grad.contiguous(memory_format=LAYOUTS[layout])
    found = functions(module, ways, device, dtype)
    torch.compiler.reset()

    source, target = torch.rand_like(grad), torch.empty_like(grad)
    copies = time_in_turns(timer, {'copy': lambda: target.copy_(source)}, 2 * rounds)
    bytes_per_ms = 2 * grad.nbytes / copies['copy']['min']
    read = sum(t.nbytes for t in inputs)

    def row(direction: str, moved: int, calls: dict[str, Callable[[], Any]]) -> Row:
        times = time_in_turns(timer, calls, rounds)
        peaks = {name: peak_of_tensors(call, device) / 1e6 for name, call in calls.items()}
        where = dict(module=module, input=size, layout=layout, dtype=dtype)
        measured = {'floor_ms': moved / bytes_per_ms, 'ms': times, 'peak_mb': peaks}
        return round_floats({**where, 'pass': direction, **measured})

    with torch.no_grad():
        calls = {name: partial(f, *inputs) for name, f in found.items()}
        rows = [row('forward', read + grad.nbytes, calls)]
    gradients = partial(torch.autograd.grad, retain_graph=True)
    calls = {name: partial(gradients, f(*inputs), inputs, grad) for name, f in found.items()}
    rows.append(row('backward', 2 * read + grad.nbytes, calls))
    return rows


def time_in_turns(
    timer: Timer, calls: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, dict[str, float]]:
    """Measure the shortest and the median milliseconds of each call; the calls take turns."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            with timer:
                call()
            times[name].append(timer.milliseconds)
    return {k: {'min': min(v), 'median': statistics.median(v)} for k, v in times.items()}


def _inputs(module: str, size: str, layout: str, dtype: str, device: str) -> list[Tensor]:
    channels, high, low = CASES[module, size]

    def make(function: Callable[..., Tensor], count: int, size: tuple[int, int]) -> Tensor:
        x = function(1, count, *size, device=device).to(getattr(torch, dtype))
        return x.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()

    if module == 'FAM':
        return [make(torch.randn, channels, high), make(torch.randn, 2, low)]
    return [
        make(torch.randn, channels, high),
        make(torch.randn, channels, low),
        make(torch.randn, 4, low),
        make(torch.rand, 1, low),
    ]


def round_floats(value: Any) -> Any:
    """Round every float to four significant digits."""
    if isinstance(value, dict):
        return {k: round_floats(v) for k, v in value.items()}
    return float(f'{value:.4g}') if isinstance(value, float) else value
