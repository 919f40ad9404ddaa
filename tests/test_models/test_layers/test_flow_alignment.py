"""FAM and GD-FAM against a sampler that loops over pixels."""

import pytest
import torch
import torch.nn.functional as F
from test_ops import oracle

from sfnet_mm.models import FlowAlignmentModule, GatedDualFlowAlignmentModule
from sfnet_mm.visualization import AlignmentRecorder


def halves_and_flow(module, low, high):
    low_half = F.conv2d(low, module.down_l.weight)
    high_half = F.conv2d(high, module.down_h.weight)
    high_half = F.interpolate(high_half, low.shape[2:], mode='bilinear', align_corners=True)
    weight = module.flow_make.weight
    both = torch.cat([high_half, low_half], 1)
    return low_half, high_half, F.conv2d(both, weight, padding=weight.shape[-1] // 2)


def strengthen(module):
    """Flows of several pixels, some of them pointing outside of the map."""
    torch.nn.init.normal_(module.flow_make.weight, std=1.0)
    return module.eval()


LOW, HIGH = (2, 6, 9, 13), (2, 6, 4, 7)


@pytest.mark.parametrize('kernel', [1, 3, 5, 7])
@torch.no_grad()
def test_fam(kernel):
    module = strengthen(FlowAlignmentModule(6, kernel))
    low, high = torch.randn(LOW), torch.randn(HIGH)
    _, _, flow = halves_and_flow(module, low, high)
    assert module.flow_make.weight.shape == (2, 6, kernel, kernel)
    assert flow.abs().max() > 4
    expected = torch.from_numpy(oracle.flow_warp(high, flow))
    torch.testing.assert_close(module(low, high).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('gate', ['attention', 'conv', None])
@torch.no_grad()
def test_gd_fam(gate):
    module = strengthen(GatedDualFlowAlignmentModule(6, gate))
    low, high = torch.randn(LOW), torch.randn(HIGH)
    low_half, high_half, flow = halves_and_flow(module, low, high)
    share = None
    if gate is not None:
        pooled = torch.stack([high_half.mean(1), low.mean(1), high_half.amax(1), low.amax(1)], 1)
        if gate == 'conv':
            pooled = torch.cat([high_half, low_half], 1)
        share = F.conv2d(pooled, module.flow_gate.weight, padding=1).sigmoid()
    expected = torch.from_numpy(oracle.gated_dual_flow_warp(high, low, flow, share))
    torch.testing.assert_close(module(low, high).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('rearrange', [False, True])
@torch.no_grad()
def test_flow_of_equation_2_is_twice_as_long(rearrange):
    module = strengthen(FlowAlignmentModule(6, flow_scale=2))
    low, high = torch.randn(LOW), torch.randn(HIGH)
    _, _, flow = halves_and_flow(module, low, high)
    expected = torch.from_numpy(oracle.flow_warp(high, 2 * flow))
    form = module.inference_form(True) if rearrange else module
    torch.testing.assert_close(form(low, high).double(), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_gate_of_equation_6_weights_the_fine_map():
    module = strengthen(GatedDualFlowAlignmentModule(6, gate_weights='fine', flow_scale=2))
    low, high = torch.randn(LOW), torch.randn(HIGH)
    _, high_half, flow = halves_and_flow(module, low, high)
    pooled = torch.stack([high_half.mean(1), low.mean(1), high_half.amax(1), low.amax(1)], 1)
    share = F.conv2d(pooled, module.flow_gate.weight, padding=1).sigmoid()
    expected = torch.from_numpy(oracle.gated_dual_flow_warp(high, low, 2 * flow, 1 - share))
    torch.testing.assert_close(module(low, high).double(), expected, rtol=1e-4, atol=1e-4)
    assert module.inference_form(True) is None
    with AlignmentRecorder(torch.nn.ModuleDict({'align': module})) as recorder:
        module(low, high)
    torch.testing.assert_close(recorder.records[0].gate, 1 - share)
    torch.testing.assert_close(recorder.records[0].flow, 2 * flow)


def test_gate_of_the_paper_is_a_1x1_convolution():
    module = GatedDualFlowAlignmentModule(6, gate_kernel_size=1)
    assert module.flow_gate.weight.shape == (1, 4, 1, 1)


@pytest.mark.parametrize(
    'kwargs, named',
    [
        (dict(channels=5), 'channels=5'),
        (dict(channels=6, kernel_size=2), 'kernel_size=2'),
        (dict(channels=6, gate='max'), "gate='max'"),
        (dict(channels=6, gate_kernel_size=4), 'gate_kernel_size=4'),
        (dict(channels=6, gate_weights='both'), "gate_weights='both'"),
    ],
)
def test_bad_arguments_are_named(kwargs, named):
    with pytest.raises(ValueError, match=named):
        GatedDualFlowAlignmentModule(**kwargs)
