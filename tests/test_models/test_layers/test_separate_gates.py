"""GD-FAM with a gate for each map (Table 10b)."""

import pytest
import torch

from sfnet_mm.models import GatedDualFlowAlignmentModule, SeparateGatesAlignmentModule
from sfnet_mm.ops import flow_warp


@pytest.mark.parametrize('gate', ['attention', 'conv'])
def test_a_complementary_pair_of_gates_is_gd_fam(gate):
    shared = GatedDualFlowAlignmentModule(8, gate).double()
    separate = SeparateGatesAlignmentModule(8, gate).double()
    weights = dict(shared.state_dict())
    # sigmoid(-x) = 1 - sigmoid(x)
    weights['flow_gate.weight'] = torch.cat(
        [weights['flow_gate.weight'], -weights['flow_gate.weight']]
    )
    separate.load_state_dict(weights)
    low = torch.randn(2, 8, 6, 10, dtype=torch.float64)
    high = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(separate(low, high), shared(low, high), atol=1e-10, rtol=1e-10)


def test_gates_weight_their_own_map():
    module = SeparateGatesAlignmentModule(8).double()
    low = torch.randn(1, 8, 6, 10, dtype=torch.float64)
    high = torch.randn(1, 8, 3, 5, dtype=torch.float64)
    flows = []
    module.flow_make.register_forward_hook(lambda _module, _args, out: flows.append(out))
    module(low, high)
    flow = flows[0]
    for open_gate, expected in (
        ((1.0, 0.0), flow_warp(high, flow[:, :2])),
        ((0.0, 1.0), flow_warp(low, flow[:, 2:])),
        ((1.0, 1.0), flow_warp(high, flow[:, :2]) + flow_warp(low, flow[:, 2:])),
    ):
        gates = torch.tensor(open_gate, dtype=torch.float64).view(1, 2, 1, 1)
        module.predict_gate = lambda *_, gates=gates: gates
        torch.testing.assert_close(module(low, high), expected, atol=1e-10, rtol=1e-10)


def test_without_a_gate_there_is_nothing_to_separate():
    with pytest.raises(ValueError, match='gate=None is not one of attention, conv'):
        SeparateGatesAlignmentModule(8, gate=None)
