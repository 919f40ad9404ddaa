"""Runs the compiled warps in a short program for compute-sanitizer and ncu.

    python -m sfnet_mm.benchmark.warp_program --device cuda [--large]

The program runs them forward and backward in every dtype and layout, on sizes that fill no block
evenly and with flows that leave the map. It checks the results against plain torch in float64. With
``--large`` it only runs GD-FAM once, on the maps of a 1024x2048 image in float16, channels-last.
"""

import argparse
import itertools

import torch
from torch import Tensor

from sfnet_mm.ops import gated_dual_flow_warp

DTYPES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
LAYOUTS = (torch.contiguous_format, torch.channels_last)
# A case is (batch, channels, size of the coarse map, size of the fine map).
SMALL = ((2, 3, (5, 7), (9, 13)), (1, 40, (4, 3), (17, 18)), (3, 8, (1, 1), (4, 5)))
LARGE = (1, 128, (32, 64), (256, 512))
Case = tuple[int, int, tuple[int, int], tuple[int, int]]


def make_inputs(
    case: Case, dtype: torch.dtype, layout: torch.memory_format, device: str
) -> list[Tensor]:
    """Draw a coarse map, a fine map, both flows and the gate, all of which require gradients."""
    batch, channels, coarse, fine = case
    flow = 4 * torch.randn(batch, 4, *fine)
    flow[:, :, 0, 0] = float('nan')
    flow[:, :, -1, -1] = 1e4
    maps = (torch.randn(batch, channels, *coarse), torch.randn(batch, channels, *fine))
    tensors = [m.contiguous(memory_format=layout) for m in maps]
    tensors += [flow, torch.rand(batch, 1, *fine)]
    return [t.to(device, dtype).requires_grad_() for t in tensors]


def run(inputs: list[Tensor], grad: Tensor, backend: str) -> list[Tensor]:
    """Compute the output and the gradients of both maps and of the gate.

    The gradient of the flow is computed too, but not returned. It jumps where a sample lies on a
    pixel, and rounding decides on which side of the pixel the sample lies.
    """
    out = gated_dual_flow_warp(*inputs, backend=backend)
    high, low, _, gate = torch.autograd.grad(out, inputs, grad.to(out.dtype))
    return [out, high, low, gate]


def check(case: Case, dtype: torch.dtype, layout: torch.memory_format, device: str) -> float:
    """Run a case and return the largest difference from plain torch in float64.

    Raises:
        ValueError: The difference is larger than the rounding of the dtype explains.
    """
    inputs = make_inputs(case, dtype, layout, device)
    grad = torch.randn_like(inputs[1]).to(dtype)
    got = run(inputs, grad, 'ext')
    exact = [t.detach().double().requires_grad_() for t in inputs]
    expected = run(exact, grad.double(), 'native')
    worst = 0.0
    for a, b in zip(got, expected):
        scale = max(1.0, b.abs().max().item())
        worst = max(worst, (a.double() - b).abs().max().item() / scale)
    if not worst < DTYPES[dtype]:
        raise ValueError(f'{case}, {dtype}, {layout}: off by {worst:.1e}')
    return worst


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda', help='device of the warps')
    parser.add_argument('--large', action='store_true', help='run one large pass only')
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    if args.large:
        inputs = make_inputs(LARGE, torch.float16, torch.channels_last, args.device)
        run(inputs, torch.randn_like(inputs[1]), 'ext')
        return
    worst = {}
    for case, dtype, layout in itertools.product(SMALL, DTYPES, LAYOUTS):
        try:
            worst[dtype] = max(worst.get(dtype, 0.0), check(case, dtype, layout, args.device))
        except ValueError as error:
            raise SystemExit(f'error: {error}') from None
    print(', '.join(f'{dtype}: {value:.1e}' for dtype, value in worst.items()))


if __name__ == '__main__':
    main()
