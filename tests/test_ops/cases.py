"""Inputs of the tests of the flow warp, and the backends and devices that they run on."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from sfnet_mm.ops import has_ext

needs_ext = pytest.mark.skipif(
    not has_ext(), reason='the flow warp is not compiled: make install-ops'
)
BACKENDS = [pytest.param('native'), pytest.param('ext', marks=needs_ext)]
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]
LAYOUTS = {'nchw': torch.contiguous_format, 'channels_last': torch.channels_last}
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
# Errors of a result for inputs of order 1: coordinates are float32, results round to their dtype.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
# (batch, channels, size of high, size of low)
SHAPES = [
    (2, 3, (5, 7), (9, 13)),
    (1, 130, (4, 4), (7, 6)),
    (3, 1, (1, 1), (4, 5)),
    (1, 8, (1, 6), (6, 1)),
    (1, 9, (3, 70), (2, 140)),
    (1, 16, (8, 8), (4, 4)),
    (1, 72, (2, 3), (12, 17)),
]


class Case(NamedTuple):
    high: Tensor
    low: Tensor
    flow: Tensor
    gate: Tensor | None


def make_case(shape, dtype=torch.float64, layout='nchw', gate=True, scale=2.0, device='cpu'):
    """Random maps; a scale of 2 moves samples by about a pixel, one of 50 moves most outside."""
    batch, channels, high_size, low_size = shape

    def random(function, channels, size):
        return function(batch, channels, *size, dtype=torch.float64).to(device, dtype)

    def as_map(x):
        return x.contiguous(memory_format=LAYOUTS[layout])

    return Case(
        as_map(random(torch.randn, channels, high_size)),
        as_map(random(torch.randn, channels, low_size)),
        random(torch.randn, 4, low_size) * scale,
        random(torch.rand, 1, low_size) if gate else None,
    )


def away_from_integers(case):
    """The same case with flows whose samples keep a distance from pixel centers and the border.

    There the bilinear sample has a kink, and its gradient by the flow no single value.
    """
    flow = torch.zeros_like(case.flow)
    for first, x in ((0, case.high), (2, case.low)):
        for k, (size, out_size) in enumerate(
            ((x.shape[-1], case.low.shape[-1]), (x.shape[-2], case.low.shape[-2]))
        ):
            if size == 1:
                continue
            index = torch.arange(out_size, dtype=torch.float64, device=flow.device)
            base = index * (size - 1) / max(out_size - 1, 1)
            shape = (1, -1) if k == 0 else (-1, 1)
            cell = torch.floor(base).view(shape) + torch.randint(-2, 3, flow[:, 0].shape).to(flow)
            wanted = cell + 0.2 + 0.6 * torch.rand(flow[:, 0].shape).to(flow)
            flow[:, first + k] = (wanted - base.view(shape)) * 2 * out_size / (size - 1)
    return case._replace(flow=flow)


def to_numpy(tensor):
    return None if tensor is None else tensor.detach().double().cpu().numpy()
