"""Maps of more than 2^31 elements, whose offsets do not fit 32 bits, at pixels all over the map."""

import os
import tempfile

import numpy as np
import pytest
import torch
from filelock import FileLock

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp

from . import oracle
from .cases import BACKENDS, LAYOUTS, TOLERANCE

CHANNELS, SIDE = 32, 8208  # 2.16e9 elements, 4 GiB in float16
FREE = 40 * 2**30  # bytes; plain torch works in float32 and takes most, even without gradients

ONLY_FORWARD = 'plain torch keeps several such maps in float32: one forward pass stands for it'

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.parametrize('backend', BACKENDS),
    pytest.mark.parametrize('layout', LAYOUTS),
]


@pytest.fixture
def pixels():
    """The corners of a map and some pixels in between, as (row, column); no two are neighbors."""
    rng = np.random.default_rng(0)
    rows = [0, 0, SIDE - 1, SIDE - 1, *(100 + 400 * np.arange(19) + rng.integers(0, 90, 19))]
    columns = [0, SIDE - 1, 0, SIDE - 1, *rng.integers(100, SIDE - 100, 19)]
    return [(int(i), int(j)) for i, j in zip(rows, columns)]


@pytest.fixture(autouse=True)
def enough_memory():
    """One of these tests at a time, however many processes pytest has."""
    with FileLock(os.path.join(tempfile.gettempdir(), 'sfnet_mm_large_maps.lock')):
        torch.cuda.empty_cache()
        free = torch.cuda.mem_get_info()[0]
        if free < FREE:
            pytest.skip(f'{free / 2**30:.0f} GiB of {FREE // 2**30} GiB of GPU memory are free')
        yield
        torch.cuda.empty_cache()


def random_map(layout, channels=CHANNELS, dtype=torch.float16):
    shape = (1, channels, SIDE, SIDE)
    x = torch.empty(shape, dtype=dtype, device='cuda', memory_format=LAYOUTS[layout])
    return x.uniform_(-1, 1)


def random_flow(channels):
    """Samples move by up to 20 pixels."""
    return random_map('nchw', channels, torch.float32) * 40


def corners(flow, i, j):
    """See :func:`oracle.corners`; the flow is (1, 2, H, W)."""
    x, y = flow[0, :, i, j].double().tolist()
    return oracle.corners(x, y, i, j, (SIDE, SIDE), (SIDE, SIDE))


def sample(x, flow, i, j):
    """The channels of one pixel of the warped map, in float64."""
    found = corners(flow, i, j)
    values = [weight * x[0, :, row, column].double() for row, column, weight, _, _ in found]
    return sum(values, torch.zeros(CHANNELS, dtype=torch.float64, device='cuda'))


# Positions are float32: at 8208 pixels they are off by 1e-3 pixels, and values by as much.
TOLERANCES = dict(rtol=0, atol=TOLERANCE[torch.float16] + 4e-3)


def test_forward(backend, layout, pixels):
    x, flow = random_map(layout), random_flow(2)
    with torch.no_grad():
        out = flow_warp(x, flow, backend=backend)
    assert out.numel() > 2**31 and out.shape == x.shape
    for i, j in pixels:
        torch.testing.assert_close(out[0, :, i, j].double(), sample(x, flow, i, j), **TOLERANCES)


def test_gated_forward(backend, layout, pixels):
    if backend == 'native':
        pytest.skip(ONLY_FORWARD)
    high, low, flow = random_map(layout), random_map(layout), random_flow(4)
    gate = random_map('nchw', 1, torch.float32).abs()
    with torch.no_grad():
        out = gated_dual_flow_warp(high, low, flow, gate, backend=backend)
    for i, j in pixels:
        share = gate[0, 0, i, j].double()
        expected = share * sample(high, flow[:, :2], i, j)
        expected += (1 - share) * sample(low, flow[:, 2:], i, j)
        torch.testing.assert_close(out[0, :, i, j].double(), expected, **TOLERANCES)


def test_backward(backend, layout, pixels):
    """The output gradient is zero but at some pixels, so that each sum has one term."""
    if backend == 'native':
        pytest.skip(ONLY_FORWARD)
    x, flow = random_map(layout).requires_grad_(), random_flow(2).requires_grad_()
    grad = torch.zeros_like(x)
    for i, j in pixels:
        grad[0, :, i, j] = torch.rand(CHANNELS, device='cuda').half() + 0.5
    grad_x, grad_flow = torch.autograd.grad(flow_warp(x, flow, backend=backend), (x, flow), grad)
    x, flow = x.detach(), flow.detach()
    touched = 0
    for i, j in pixels:
        slopes = torch.zeros(2, dtype=torch.float64, device='cuda')
        value = grad[0, :, i, j].double()
        for row, column, weight, slope_x, slope_y in corners(flow, i, j):
            touched += 1
            torch.testing.assert_close(
                grad_x[0, :, row, column].double(), weight * value, **TOLERANCES
            )
            dot = (value * x[0, :, row, column].double()).sum()
            slopes += torch.tensor([slope_x, slope_y], dtype=torch.float64, device='cuda') * dot
        torch.testing.assert_close(grad_flow[0, :, i, j].double(), slopes, rtol=0, atol=0.05)
    assert 0 < grad_x.count_nonzero() <= touched * CHANNELS
    assert 0 < grad_flow.count_nonzero() <= 2 * len(pixels)
