"""What a comparison measures of FAM and GD-FAM while they train."""

import numpy as np
import pytest
import torch
import torch.nn as nn
from helpers import has_hooks
from mmengine.logging import MessageHub

from sfnet_mm.comparison.alignment_monitor import (
    AlignmentMonitorHook,
    alignment_history,
    history_of,
)
from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule


class Runner:
    max_iters = 9

    def __init__(self, model):
        self.model, self.iter = model, 0
        self.message_hub = MessageHub.get_instance(f'monitor {id(self)}')


def train(runner, low, high):
    hook = AlignmentMonitorHook(times=3)
    for i in range(runner.max_iters):
        runner.iter = i
        hook.before_train_iter(runner, 0)
        runner.model.zero_grad()
        runner.model(low, high).square().sum().backward()
        hook.after_train_iter(runner, 0)
    return history_of(runner)


def test_flows_gate_and_gradients_are_those_of_the_training():
    module = GatedDualFlowAlignmentModule(4).double()
    low, high = torch.rand(2, 4, 8, 12).double(), torch.rand(2, 4, 4, 6).double()
    # A constant flow: the weights give 0, to which the hook adds the constant.
    nn.init.zeros_(module.flow_make.weight)
    constant = torch.tensor([3.0, 4.0, 0.0, -2.0]).double()[:, None, None]
    module.flow_make.register_forward_hook(lambda m, args, flow: flow + constant)
    gates = []
    module.flow_gate.register_forward_hook(lambda m, args, out: gates.append(out.sigmoid()))
    history = train(Runner(module), low, high)
    assert [entry['iteration'] for entry in history] == [1, 5, 9]
    for entry in history:
        # A unit of flow is half the distance of pixels of a grid with corners aligned: x in W - 1.
        width, height = 11 / 12 / 2, 7 / 8 / 2
        lengths = [np.hypot(3 * width, 4 * height), 2 * height]
        assert entry['flow_px'] == pytest.approx(lengths, rel=1e-6)
        gradient = module.flow_make.weight.grad.view(2, -1).norm(dim=1)
        assert entry['gradient'] == pytest.approx(gradient.tolist())
        assert min(entry['gradient']) > 0
        # The weights are the same in each iteration, and so is the gate.
        assert entry['gate'] == pytest.approx(float(gates[0].mean()), abs=1e-6)
        assert entry['gate_spread'] == pytest.approx(float(gates[0].std()), abs=1e-6)
    hooked = [name for name, layer in module.named_modules() if has_hooks(layer)]
    assert hooked == ['flow_make', 'flow_gate']


def test_fam_has_one_flow_and_no_gate_and_seeds_are_averaged():
    history = train(Runner(FlowAlignmentModule(4)), torch.rand(1, 4, 8, 8), torch.rand(1, 4, 4, 4))
    assert all(len(e['flow_px']) == len(e['gradient']) == 1 and e['gate'] is None for e in history)
    entry = dict(iteration=1, module='align', gate_spread=0.1)
    rows = {
        'gd_fam': [
            dict(alignment_history=[dict(entry, flow_px=[1.0, 3.0], gradient=[1, 2], gate=0.5)]),
            dict(alignment_history=[dict(entry, flow_px=[2.0, 5.0], gradient=[3, 2], gate=0.7)]),
        ],
        'fpn': [{}],
    }
    row = '| gd_fam | align | 1 | 1.50, 4.00 | 2.0e+00, 2.0e+00 | 0.600 ± 0.100 |'
    assert alignment_history(rows).splitlines()[-1] == row
    assert alignment_history({'fpn': [{}]}) == ''
