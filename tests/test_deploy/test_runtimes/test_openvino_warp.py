"""The warp in OpenVINO: the graph that is written, and the rows that it is rewritten to."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_ops import oracle

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp
from sfnet_mm.ops.exporting import exporting_for

for package in ('onnx', 'onnxscript', 'openvino'):
    pytest.importorskip(package, reason='needs requirements/deploy.txt')

from sfnet_mm.deploy.runtimes.openvino_runtime import openvino_core  # noqa: E402
from sfnet_mm.deploy.runtimes.openvino_warp import warp_by_rows  # noqa: E402


class Warps(torch.nn.Module):
    """The three ways in which SFNet and SFNet-Lite use a warp."""

    def __init__(self, use):
        super().__init__()
        self.use = use

    def forward(self, high, low, flow, gate):
        if self.use == 'FAM':
            return low + flow_warp(high, flow[:, :2])
        return gated_dual_flow_warp(high, low, flow, gate if self.use == 'gated' else None)


def make_inputs(channels=16):
    generator = torch.Generator().manual_seed(0)
    high, low = (torch.randn(2, channels, *s, generator=generator) for s in ((4, 6), (11, 13)))
    flow = 8 * torch.randn(2, 4, 11, 13, generator=generator)
    flow[0, 0, 0] = float('nan')
    flow[1, 3, :, 2] = float('inf')
    flow[1, 2, 5] = -1e20
    return high, low, flow, torch.rand(2, 1, 11, 13, generator=generator)


def read(module, inputs, path, runtime=None):
    export = dict(dynamo=True, opset_version=18, verbose=False)
    if runtime is None:
        torch.onnx.export(module, inputs, path, **export)
    else:
        with exporting_for(runtime):
            torch.onnx.export(module, inputs, path, **export)
    return openvino_core().read_model(path)


def run(model, inputs):
    compiled = openvino_core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    names = [value.get_any_name() for value in compiled.inputs]
    order = ('high', 'low', 'flow', 'gate') if len(inputs) == 4 else names
    given = dict(zip(order, inputs))
    return compiled({name: given[name].numpy() for name in names})[0]


def kinds(model):
    return [node.get_type_name() for node in model.get_ops()]


@pytest.mark.parametrize('channels', [16, 6])
@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('use', ['FAM', 'added', 'gated'])
def test_rows_are_the_warp_by_its_definition(use, runtime, channels, tmp_path):
    high, low, flow, gate = inputs = make_inputs(channels)
    expected = oracle.flow_warp(high, flow[:, :2])
    if use == 'FAM':
        expected = low.double().numpy() + expected
    else:
        share = gate.double().numpy() if use == 'gated' else 1.0
        rest = 1 - share if use == 'gated' else 1.0
        expected = share * expected + rest * oracle.flow_warp(low, flow[:, 2:])
    model = read(Warps(use).eval(), inputs, str(tmp_path / 'warp.onnx'), runtime)
    samplers = 1 if use == 'FAM' else 2
    assert kinds(model).count('GridSample') == samplers
    np.testing.assert_allclose(run(model, inputs), expected, atol=2e-5)
    assert warp_by_rows(model) == samplers
    assert kinds(model).count('GridSample') == 0
    # Both warps of GD-FAM are read in one pass.
    assert kinds(model).count('EmbeddingBagPackedSum') == 1
    # Index and share, the table of each map and the result are transposed, but no grid.
    assert kinds(model).count('Transpose') == 3 + samplers
    np.testing.assert_allclose(run(model, inputs), expected, atol=2e-5)


class Sampler(torch.nn.Module):
    """A sampler of another kind than the export writes."""

    def forward(self, x, grid):
        return F.grid_sample(x, grid, align_corners=True)


def test_other_samplers_and_open_sizes_stay(tmp_path):
    import openvino

    x, grid = torch.randn(1, 3, 7, 8), torch.rand(1, 5, 6, 2) * 2 - 1
    model = read(Sampler().eval(), (x, grid), str(tmp_path / 'other.onnx'))
    assert warp_by_rows(model) == 0 and kinds(model).count('GridSample') == 1
    expected = F.grid_sample(x.double(), grid.double(), align_corners=True)
    np.testing.assert_allclose(run(model, (x, grid)), expected, atol=1e-5)
    inputs = make_inputs()
    model = read(Warps('gated').eval(), inputs, str(tmp_path / 'open.onnx'), 'onnxruntime')
    model.reshape({'high': openvino.PartialShape([2, 16, -1, 6])})
    assert warp_by_rows(model) == 1 and kinds(model).count('GridSample') == 1
    expected = oracle.flow_warp(inputs[0], inputs[2][:, :2]) * inputs[3].numpy()
    expected += oracle.flow_warp(inputs[1], inputs[2][:, 2:]) * (1 - inputs[3].numpy())
    np.testing.assert_allclose(run(model, inputs), expected, atol=2e-5)


class Head(torch.nn.Module):
    """A sampler of groups of channels, each with a grid of its own, and a blend by a number."""

    def forward(self, x, grid):
        groups = x.reshape(4, 4, 7, 8)
        high = F.grid_sample(groups, grid, align_corners=False).reshape(1, 16, 5, 6)
        low = F.grid_sample(x, grid[:1], align_corners=False)
        return low + 0.25 * (high - low)


def test_what_only_looks_like_a_written_warp_keeps_its_meaning(tmp_path):
    x, grid = torch.randn(1, 16, 7, 8), torch.rand(4, 5, 6, 2) * 2 - 1
    model = read(Head().eval(), (x, grid), str(tmp_path / 'head.onnx'))
    assert warp_by_rows(model) == 2
    np.testing.assert_allclose(run(model, (x, grid)), Head()(x.double(), grid.double()), atol=1e-5)
