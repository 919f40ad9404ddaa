import copy

import pytest
import torch
from helpers import has_hooks
from torch import nn

from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule
from sfnet_mm.visualization import AlignmentRecorder


@pytest.mark.parametrize('module', [FlowAlignmentModule(8), GatedDualFlowAlignmentModule(8)])
def test_recorder_catches_flow_and_gate_and_changes_nothing(module):
    net = nn.ModuleDict({'align': module}).eval()
    low, high = torch.randn(2, 8, 12, 16), torch.randn(2, 8, 3, 4)
    with torch.no_grad():
        before = module(low, high)
        with AlignmentRecorder(net) as recorder:
            during = module(low, high)
            module(low, high)
        module(low, high)
    torch.testing.assert_close(during, before, rtol=0, atol=0)
    assert [r.name for r in recorder.records] == ['align', 'align']
    assert len(recorder.first_pass()) == 1
    assert not any(map(has_hooks, net.modules()))
    record = recorder.records[0]
    if record.kind == 'FAM':
        rebuilt = record.warped_coarse()
    else:
        assert record.gate.min() > 0 and record.gate.max() < 1
        rebuilt = record.warped_coarse() * record.gate + record.warped_fine() * (1 - record.gate)
    torch.testing.assert_close(rebuilt, before.mean(1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_gd_fam_without_gate_has_no_gate_to_show():
    module = GatedDualFlowAlignmentModule(4, gate=None)
    with AlignmentRecorder(module) as recorder, torch.no_grad():
        module(torch.randn(1, 4, 8, 8), torch.randn(1, 4, 2, 2))
    assert recorder.records[0].gate is None


@pytest.mark.gpu
@torch.no_grad()
@pytest.mark.parametrize('module', [FlowAlignmentModule(8), GatedDualFlowAlignmentModule(8)])
def test_recorder_on_the_device_has_the_flow_of_float64(module, gpu_device):
    low, high = torch.randn(2, 8, 12, 16), torch.randn(2, 8, 3, 4)
    moved = copy.deepcopy(module).to(gpu_device)
    exact = copy.deepcopy(module).double()
    with AlignmentRecorder(moved) as recorder, AlignmentRecorder(exact) as expected:
        moved(low.to(gpu_device), high.to(gpu_device))
        exact(low.double(), high.double())
    ours, value = recorder.records[0], expected.records[0]
    for name in ('flow', 'gate', 'coarse', 'fine'):
        if getattr(value, name) is not None:
            assert getattr(ours, name).device.type == 'cpu'
            torch.testing.assert_close(
                getattr(ours, name), getattr(value, name), rtol=1e-3, atol=1e-4
            )
