import numpy as np
import pytest
import torch

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp

from . import oracle
from .cases import (
    BACKENDS,
    DEVICES,
    DTYPES,
    LAYOUTS,
    SHAPES,
    TOLERANCE,
    away_from_integers,
    make_case,
    needs_ext,
    to_numpy,
)

parametrize = pytest.mark.parametrize


def gradients(case, grad, backend):
    """Compute the gradients of the maps, the flow and the gate for an output gradient."""
    inputs = [t.detach().requires_grad_() for t in case if t is not None]
    out = gated_dual_flow_warp(*inputs, backend=backend)
    return torch.autograd.grad(out, inputs, grad)


@parametrize('backend', BACKENDS)
@parametrize('device', DEVICES)
@parametrize('shape', SHAPES, ids=str)
@parametrize('layout', LAYOUTS)
@parametrize('gate', [True, False], ids=['gate', 'sum'])
def test_equals_the_definition(backend, device, shape, layout, gate):
    case = away_from_integers(make_case(shape, torch.float64, layout, gate, device=device))
    grad = torch.randn_like(case.low)
    expected = oracle.gated_dual_flow_warp_backward(to_numpy(grad), *map(to_numpy, case))
    got = gradients(case, grad, backend)
    for ours, value in zip(got, expected):
        np.testing.assert_allclose(to_numpy(ours), value, rtol=1e-9, atol=1e-9)
    if backend == 'ext':
        assert got[1].is_contiguous(memory_format=LAYOUTS[layout])

    x, flow = case.high.requires_grad_(), case.flow[:, :2].detach().requires_grad_()
    got = torch.autograd.grad(flow_warp(x, flow, backend=backend), (x, flow), grad)
    expected = oracle.flow_warp_backward(to_numpy(grad), to_numpy(x), to_numpy(flow))
    for ours, value in zip(got, expected):
        np.testing.assert_allclose(to_numpy(ours), value, rtol=1e-9, atol=1e-9)


@parametrize('backend', BACKENDS)
@parametrize('device', DEVICES)
@parametrize('layout', LAYOUTS)
@parametrize('dtype', DTYPES[1:], ids=str)
def test_low_precision_sums_in_float32(backend, device, layout, dtype):
    # 35 output pixels fall on each pixel of high: sums in half would lose most digits.
    case = make_case((1, 24, (4, 5), (22, 33)), torch.float64, layout, device=device)
    case = type(case)(*(t.to(dtype) for t in away_from_integers(case)))
    grad = torch.rand_like(case.low)
    expected = oracle.gated_dual_flow_warp_backward(to_numpy(grad), *map(to_numpy, case))
    for ours, value in zip(gradients(case, grad, backend), expected):
        assert ours.dtype == dtype
        tolerance = 2 * TOLERANCE[dtype] * np.abs(value).max()
        np.testing.assert_allclose(to_numpy(ours), value, rtol=0, atol=tolerance)


@parametrize('backend', BACKENDS)
@parametrize('device', DEVICES)
@parametrize('layout', LAYOUTS)
def test_gradcheck(backend, device, layout):
    case = away_from_integers(make_case((1, 2, (2, 3), (3, 4)), layout=layout, device=device))
    inputs = [t.requires_grad_() for t in case]
    assert torch.autograd.gradcheck(
        lambda *args: gated_dual_flow_warp(*args, backend=backend), inputs
    )
    assert torch.autograd.gradcheck(
        lambda x, flow: flow_warp(x, flow, backend=backend), (inputs[0], inputs[2][:, :2])
    )


@needs_ext
@parametrize('device', DEVICES)
@parametrize('layout', LAYOUTS)
def test_deterministic_mode_repeats_to_the_bit(device, layout):
    case = make_case((1, 40, (4, 8), (32, 64)), torch.float32, layout, device=device)
    grad = torch.randn_like(case.low)
    threads = torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            runs.append(gradients(case, grad, 'ext'))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    for again in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], again))


@needs_ext
@parametrize('layout', LAYOUTS)
def test_saves_its_inputs_only(layout):
    case = make_case((1, 8, (4, 4), (8, 8)), torch.float32, layout)
    inputs = [t.requires_grad_() for t in case]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.data_ptr()) or t, lambda t: t
    ):
        gated_dual_flow_warp(*inputs, backend='ext')
    assert sorted(saved) == sorted(t.data_ptr() for t in inputs)


@needs_ext
def test_some_inputs_without_gradient():
    case = make_case((1, 4, (3, 3), (6, 6)), torch.float64)
    grad = torch.randn_like(case.low)
    full = gradients(case, grad, 'ext')
    flow = case.flow.requires_grad_()
    out = gated_dual_flow_warp(case.high, case.low, flow, case.gate, backend='ext')
    out.backward(grad)
    torch.testing.assert_close(flow.grad, full[2])
    assert case.high.grad is None


@needs_ext
def test_second_derivatives_are_refused():
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    flow = torch.randn(1, 2, 4, 4, requires_grad=True)
    out = flow_warp(x, flow, backend='ext')
    (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='not implemented'):
        grad.sum().backward()


@needs_ext
@pytest.mark.gpu
def test_two_streams():
    case = make_case((1, 128, (32, 64), (128, 256)), torch.float32, device='cuda')
    expected = gated_dual_flow_warp(*case, backend='ext')
    results = []
    for _ in range(2):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            results.append(gated_dual_flow_warp(*case, backend='ext'))
    torch.cuda.synchronize()
    for out in results:
        torch.testing.assert_close(out, expected)
