import mmcv
import numpy as np
import pytest
import torch

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp

from . import oracle
from .cases import BACKENDS, DEVICES, DTYPES, LAYOUTS, SHAPES, TOLERANCE, make_case, to_numpy

pytestmark = [
    pytest.mark.parametrize('backend', BACKENDS),
    pytest.mark.parametrize('device', DEVICES),
]


def assert_close(result, expected, tolerance):
    np.testing.assert_allclose(to_numpy(result), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_equals_the_definition(backend, device, shape, layout, dtype):
    for scale in (2.0, 50.0):
        case = make_case(shape, dtype, layout, scale=scale, device=device)
        out = flow_warp(case.high, case.flow[:, :2], backend=backend)
        assert out.dtype == dtype
        assert out.is_contiguous(memory_format=LAYOUTS[layout])
        expected = oracle.flow_warp(to_numpy(case.high), to_numpy(case.flow[:, :2]))
        assert_close(out, expected, TOLERANCE[dtype] * max(1.0, scale / 10))
        for gate in (case.gate, None):
            out = gated_dual_flow_warp(case.high, case.low, case.flow, gate, backend=backend)
            assert out.dtype == dtype
            assert out.is_contiguous(memory_format=LAYOUTS[layout])
            expected = oracle.gated_dual_flow_warp(*map(to_numpy, case._replace(gate=gate)))
            assert_close(out, expected, 2 * TOLERANCE[dtype] * max(1.0, scale / 10))


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', DTYPES[1:], ids=str)
@pytest.mark.parametrize('graded', [True, False])
def test_large_maps_in_every_dtype(backend, device, layout, dtype, graded):
    # torch's own half-precision kernel for the CPU returns NaN at this size.
    case = make_case((1, 128, (32, 64), (256, 512)), dtype, layout, device=device)
    with torch.set_grad_enabled(graded):
        out = gated_dual_flow_warp(*case, backend=backend)
    assert out.isfinite().all()
    high, low, flow, gate = map(to_numpy, case)
    rng = np.random.default_rng(0)
    for i, j in zip(rng.integers(0, 256, 40), rng.integers(0, 512, 40)):
        expected = np.zeros(128)
        for x, first, share in ((high, 0, gate[0, 0, i, j]), (low, 2, 1 - gate[0, 0, i, j])):
            for row, column, weight, _, _ in oracle.corners(
                *flow[0, first : first + 2, i, j], i, j, x.shape[2:], (256, 512)
            ):
                expected += share * weight * x[0, :, row, column]
        # float32 positions up to 512 carry an error of 3e-5 pixels.
        assert_close(out[0, :, i, j], expected, max(TOLERANCE[dtype], 5e-4))


def test_agrees_with_mmcv_inside_the_map(backend, device):
    case = make_case((1, 3, (12, 15), (12, 15)), torch.float64, device=device)
    out = flow_warp(case.high, case.flow[:, :2], backend=backend)
    # mmcv counts in pixels, and leaves out whatever touches the border.
    pixels = to_numpy(case.flow[0, :2]).transpose(1, 2, 0) * [14 / 30, 11 / 24]
    with pytest.warns(UserWarning, match='prototyping'):
        expected = mmcv.flow_warp(
            to_numpy(case.high[0]).transpose(1, 2, 0), pixels, np.nan, 'bilinear'
        )
    inside = np.isfinite(expected).all(axis=-1)
    assert inside.sum() > 50
    got = to_numpy(out[0]).transpose(1, 2, 0)
    np.testing.assert_allclose(got[inside], expected[inside], atol=2e-5)


def test_a_zero_flow_is_the_identity_and_the_unit_is_half_a_pixel(backend, device):
    x = torch.arange(12.0, device=device).reshape(1, 1, 1, 12).expand(2, 3, 4, 12)
    flow = torch.zeros(2, 2, 4, 12, device=device)
    torch.testing.assert_close(flow_warp(x, flow, backend=backend), x.contiguous())
    flow[:, 0] = 1
    moved = flow_warp(x, flow, backend=backend)
    torch.testing.assert_close(moved[..., :-1], (x + 11 / 24)[..., :-1])


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 3e38, -3e38])
@pytest.mark.parametrize('size', [(3, 4), (1, 4), (3, 1), (1, 1)], ids=str)
@pytest.mark.parametrize('layout', LAYOUTS)
def test_non_finite_and_huge_flows_are_zero_padding(backend, device, value, size, layout):
    shape = (1, 8, size, (3, 5))
    case = make_case(shape, torch.float32, layout, device=device)
    for channel, axis in ((0, 1), (1, 0)):
        flow = torch.zeros_like(case.flow[:, :2])
        flow[:, channel, 1, 2] = value
        x = case.high.clone().requires_grad_()
        flow.requires_grad_()
        out = flow_warp(x, flow, backend=backend)
        assert out.isfinite().all()
        if not np.isfinite(value) or size[axis] > 1:
            assert (out[..., 1, 2] == 0).all()
        assert (out[..., 1, 3] != 0).all()
        out.sum().backward()
        assert x.grad.isfinite().all() and flow.grad.isfinite().all()


def test_what_is_outside_does_not_read_the_map(backend, device):
    # A zero of padding is zero even where the map holds infinities.
    x = torch.full((1, 16, 6, 6), float('inf'), device=device)
    flow = torch.full((1, 2, 20, 20), 1e4, device=device)
    for layout in LAYOUTS.values():
        x = x.contiguous(memory_format=layout)
        assert (flow_warp(x, flow, backend=backend) == 0).all()
        low = torch.ones(1, 16, 20, 20, device=device).contiguous(memory_format=layout)
        both = torch.cat([flow, 0 * flow], dim=1)
        gate = torch.full((1, 1, 20, 20), 0.25, device=device)
        for graded in (True, False):
            with torch.set_grad_enabled(graded):
                out = gated_dual_flow_warp(x, low, both, gate, backend=backend)
            torch.testing.assert_close(out, 0.75 * low)


def test_strided_expanded_and_empty_inputs(backend, device):
    case = make_case((2, 6, (5, 6), (8, 9)), torch.float32, device=device)
    expected = gated_dual_flow_warp(*case, backend=backend)
    spread = [torch.stack((t, t * 0), dim=-1)[..., 0] for t in case]
    torch.testing.assert_close(gated_dual_flow_warp(*spread, backend=backend), expected)
    mixed = (case.high.contiguous(memory_format=torch.channels_last), *case[1:])
    torch.testing.assert_close(gated_dual_flow_warp(*mixed, backend=backend), expected)
    wide = case.high[:1, :1].expand(2, 6, 5, 6)
    torch.testing.assert_close(
        flow_warp(wide, case.flow[:, :2], backend=backend),
        flow_warp(wide.contiguous(), case.flow[:, :2], backend=backend),
    )
    empty = gated_dual_flow_warp(*(t[:0] for t in case), backend=backend)
    assert empty.shape == (0, 6, 8, 9)


def test_flow_and_gate_may_be_of_another_precision(backend, device):
    case = make_case((1, 8, (40, 60), (80, 120)), torch.float32, device=device)
    halves = case._replace(high=case.high.half(), low=case.low.half())
    exact = gated_dual_flow_warp(
        halves.high.float(), halves.low.float(), case.flow, case.gate, backend=backend
    )
    out = gated_dual_flow_warp(*halves, backend=backend)
    assert out.dtype == torch.float16
    # A flow rounded to half would be off by several of these units.
    torch.testing.assert_close(out.float(), exact, rtol=1e-3, atol=1e-3)
