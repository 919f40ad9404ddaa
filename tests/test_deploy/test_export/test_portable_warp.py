"""The warp in operators that every compiler has, against the definition in float64."""

import copy
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
from deploy_helpers import FULL, needs_onnx, run_in_onnxruntime, small_model, smooth_image
from helpers import run_tool
from test_ops import oracle

from sfnet_mm.deploy import export_onnx, load_runtime
from sfnet_mm.models.layers import flow_alignment, gated_dual_flow_alignment
from sfnet_mm.models.necks import AlignedFPN
from sfnet_mm.ops import flow_warp
from sfnet_mm.ops.exporting import exporting_for

needs_onnx()
import onnx  # noqa: E402

from sfnet_mm.deploy.export.onnx_graph import trace  # noqa: E402
from sfnet_mm.deploy.export.opsets import to_opset  # noqa: E402
from sfnet_mm.deploy.export.portable_warp import (  # noqa: E402
    convert_warps,
    gather_warps,
    runtime_of_trace,
)
from sfnet_mm.deploy.export.random_networks import (  # noqa: E402
    random_images,
    set_realistic_statistics,
)
from sfnet_mm.deploy.export.warp_forms import compare_forms  # noqa: E402


def sampler(shape, grid_shape, **attributes):
    """A graph of one GridSample; sides that are text are open."""
    info = onnx.helper.make_tensor_value_info
    float32 = onnx.TensorProto.FLOAT
    out = [*shape[:2], *grid_shape[1:3]]
    node = onnx.helper.make_node('GridSample', ['x', 'grid'], ['y'], 'sampler', **attributes)
    inputs = [info('x', float32, shape), info('grid', float32, grid_shape)]
    graph = onnx.helper.make_graph([node], 'warp', inputs, [info('y', float32, out)])
    opsets = [onnx.helper.make_opsetid('', 18)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def bilinear(image, grid):
    """Bilinear samples of an image (C, h, w) at a grid (H, W, 2), with zeros outside."""
    channels, height, width = image.shape
    out = np.zeros((channels, *grid.shape[:2]))
    for at in np.ndindex(grid.shape[:2]):
        x, y = (((g + 1) * side - 1) / 2 for g, side in zip(grid[at], (width, height)))
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    out[(slice(None), *at)] += share * image[:, row, column]
    return out


@pytest.mark.parametrize('opset', [13, 16, 18])
@pytest.mark.parametrize('is_open', [False, True])
def test_gather_is_bilinear_with_zeros_outside(opset, is_open):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 7, 9)).astype(np.float32)
    grid = rng.uniform(-1.6, 1.6, (2, 6, 11, 2)).astype(np.float32)
    grid[0, 0, 0], grid[0, 0, 1] = (-1, 1), (4, -4)
    shapes = (x.shape, grid.shape)
    if is_open:
        shapes = ('n', 5, 'h', 'w'), ('n', 'H', 'W', 2)
    proto = sampler(*shapes, mode='linear')
    assert gather_warps(proto) == 1
    proto = to_opset(proto, opset)
    assert proto.opset_import[0].version == opset
    assert 'GridSample' not in {node.op_type for node in proto.graph.node}
    got = run_in_onnxruntime(proto, x=x, grid=grid)
    expected = [bilinear(*pair) for pair in zip(x.astype(np.float64), grid.astype(np.float64))]
    np.testing.assert_allclose(got, np.stack(expected), atol=1e-5)


class MapsOfAnImage(torch.nn.Module):
    """A module on an image of 4 channels and its pooled maps, fine to coarse, in odd sizes."""

    def __init__(self, module, count):
        super().__init__()
        self.module, self.count = module, count

    def forward(self, image):
        maps = [image]
        for _ in range(self.count - 1):
            maps.append(torch.nn.functional.avg_pool2d(maps[-1], 3, 2))
        is_pyramid = isinstance(self.module, AlignedFPN)
        return self.module(maps)[0] if is_pyramid else self.module(*maps)


TYPES = {
    'FAM': flow_alignment.FlowAlignmentModule,
    'GD-FAM': gated_dual_flow_alignment.GatedDualFlowAlignmentModule,
}


@pytest.mark.parametrize(
    'kind, align_corners',
    [('FAM', True), ('GD-FAM', False), ('AlignedFPN', True), ('AlignedFPN', False)],
)
def test_modules_with_flows_that_leave_the_map(kind, align_corners, monkeypatch):
    if kind == 'AlignedFPN':
        context = dict(type='PyramidContext', mode='none')
        module = AlignedFPN([4] * 3, 4, context=context, align_corners=align_corners)
    else:
        module = TYPES[kind](4, align_corners=align_corners)
    for name, weight in module.named_parameters():
        if name.endswith('flow_make.weight'):
            torch.nn.init.normal_(weight, std=8)
    whole = MapsOfAnImage(module.eval(), 3 if kind == 'AlignedFPN' else 2)
    exact = copy.deepcopy(whole).double()
    image, outside = torch.randn(2, 4, 15, 23), []

    def warp(x, flow):
        outside.append((oracle.flow_warp(torch.ones_like(x[:, :1]), flow) == 0).mean())
        return torch.from_numpy(oracle.flow_warp(x, flow))

    def gated(high, low, flow, gate):
        pair = [warp(*maps) for maps in zip((high, low), flow.split(2, 1))]
        return pair[0] * gate + pair[1] * (1 - gate)

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(flow_alignment, 'flow_warp', warp)
        patch.setattr(gated_dual_flow_alignment, 'gated_dual_flow_warp', gated)
        expected = exact(image.double()).numpy()
    assert all(0.05 < share < 0.8 for share in outside)
    if kind != 'AlignedFPN':
        whole.module = module.inference_form(True)
    check_opsets(whole, image, expected)


def test_flow_of_any_size_is_finite():
    image = torch.randn(1, 6, 15, 23)
    image[:, 4:] *= 40
    for i, value in enumerate((float('nan'), float('inf'), -float('inf'), 1e30, -3e38, 2e9)):
        image[0, 4 + i % 2, i] = value
    expected = oracle.flow_warp(*image.split([4, 2], 1))
    assert not expected[..., :6, :].any() and expected[..., 6:, :].any()
    check_opsets(FlowOfTheImage(), image, expected)


class FlowOfTheImage(torch.nn.Module):
    def forward(self, image):
        return flow_warp(*image.split([4, 2], 1))


def check_opsets(module, image, expected):
    """Compare the form with ``Gather`` in ONNX Runtime with the expected output."""
    with exporting_for('onnxruntime'):
        traced = trace(module, image, ['out'])
    assert 'GridSample' in {node.op_type for node in traced.graph.node}
    for opset in (13, 16, 18):
        proto = convert_warps(copy.deepcopy(traced), 'gather', opset)
        assert 'GridSample' not in {node.op_type for node in proto.graph.node}
        got = run_in_onnxruntime(proto, image=image.numpy())
        assert np.isfinite(got).all()
        assert np.abs(got - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_other_samplers_are_refused():
    for attributes in (dict(mode='nearest'), dict(align_corners=1), dict(padding_mode='border')):
        with pytest.raises(ValueError, match='sampler is a GridSample of'):
            gather_warps(sampler((1, 2, 4, 4), (1, 4, 4, 2), **attributes))


def test_both_forms_compute_the_same(tmp_path):
    """``check_parity.py --warp gather`` compares the networks of all configs in this way."""
    size = (97, 161)
    *_, model = small_model(str(tmp_path), head=FULL)
    path = str(tmp_path / 'model.onnx')
    export_onnx(set_realistic_statistics(model, size), path, size, 'logits')
    runtimes = ['onnxruntime', *(['openvino'] if find_spec('openvino') else [])]
    found = compare_forms(path, random_images(1, size, 2, 3).numpy(), 13, runtimes)
    assert found['samplers'] == 3 and found['opset'] == 13 and found['largest'] > 0.5
    assert found['onnxruntime']['difference'] <= 1e-5
    # OpenVINO reads the two with convolutions of different layouts.
    limits = dict(onnxruntime=1e-5, openvino=1e-4)
    for name in runtimes:
        assert found[name]['difference'] <= limits[name] * max(1, found['largest'])
        assert found[name]['agreement'] >= 0.9999


def test_file_has_no_sampler_and_the_same_classes(tmp_path, capsys):
    config, checkpoint, model = small_model(str(tmp_path))
    files = {}
    for warp, opset in (('gridsample', 18), ('gather', 13)):
        files[warp] = str(tmp_path / f'{warp}.onnx')
        options = ('--size', '97x161', '--output', 'logits', '--warp', warp, '--opset', opset)
        run_tool('deployment/export_onnx', config, checkpoint, files[warp], *options)
    assert 'done: ' in capsys.readouterr().out
    graph = onnx.load(files['gather'])
    assert graph.opset_import[0].version == 13
    assert 'GridSample' not in {node.op_type for node in graph.graph.node}
    runtimes = {warp: load_runtime('onnxruntime', path) for warp, path in files.items()}
    data = runtimes['gather'].prepare(smooth_image((97, 161)))
    a, b = (runtime.infer(data) for runtime in runtimes.values())
    assert np.abs(a - b).max() <= 1e-5 * max(1, np.abs(a).max())
    pytest.importorskip('openvino')
    openvino = load_runtime('openvino', files['gather']).infer(data)
    assert np.abs(openvino - a).max() <= 1e-4 * max(1, np.abs(a).max())


def test_a_form_that_there_is_not_is_refused():
    proto = sampler((1, 2, 4, 4), (1, 4, 4, 2))
    with pytest.raises(ValueError, match='opset 15 has no GridSample.*--warp gather'):
        convert_warps(proto, 'gridsample', 15)
    with pytest.raises(ValueError, match='opset 12 is not between 13 and 18'):
        convert_warps(proto, 'gather', 12)
    with pytest.raises(ValueError, match="warp 'nearest' is not one of"):
        runtime_of_trace('openvino', 'nearest')


def test_opencv_reads_the_file(tmp_path):
    if int(cv2.__version__.split('.')[0]) < 5:
        pytest.skip(f'OpenCV {cv2.__version__} has not the engine that reads it: 5 has')
    *_, model = small_model(str(tmp_path))
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, path, (97, 161), warp='gather')
    runtime = load_runtime('onnxruntime', path)
    data = runtime.prepare(smooth_image((97, 161)))
    network = cv2.dnn.readNetFromONNX(path)
    network.setInput(data)
    assert (network.forward() == runtime.infer(data)).mean() > 0.999
