"""The warp in operators that every compiler has, against the definition in float64."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from deploy_helpers import FULL, small_model, smooth_image
from helpers import run_tool

from sfnet_mm.deploy import export_onnx, load_runtime

onnx = pytest.importorskip('onnx', reason='needs requirements/deploy.txt')
ort = pytest.importorskip('onnxruntime', reason='needs requirements/deploy.txt')
pytest.importorskip('onnxscript', reason='needs requirements/deploy.txt')

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
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == opset
    assert 'GridSample' not in {node.op_type for node in proto.graph.node}
    session = ort.InferenceSession(proto.SerializeToString(), providers=['CPUExecutionProvider'])
    got = session.run(None, {'x': x, 'grid': grid})[0]
    expected = [bilinear(*pair) for pair in zip(x.astype(np.float64), grid.astype(np.float64))]
    assert got.shape == (2, 5, 6, 11)
    assert np.abs(got - np.stack(expected)).max() < 1e-5


def test_other_samplers_are_refused():
    for attributes in (dict(mode='nearest'), dict(align_corners=1), dict(padding_mode='border')):
        with pytest.raises(ValueError, match='sampler is a GridSample of'):
            gather_warps(sampler((1, 2, 4, 4), (1, 4, 4, 2), **attributes))


@pytest.mark.parametrize(
    'head, samplers, opset',
    [
        (dict(FULL), 3, 13),
    ],
)
def test_both_forms_compute_the_same(head, samplers, opset, tmp_path):
    """``check_parity.py --warp gather`` compares the networks of all configs in this way."""
    size = (97, 161)
    *_, model = small_model(str(tmp_path), head=head)
    path = str(tmp_path / 'model.onnx')
    export_onnx(set_realistic_statistics(model, size), path, size, 'logits')
    runtimes = ['onnxruntime', *(['openvino'] if find_spec('openvino') else [])]
    found = compare_forms(path, random_images(1, size, 2, 3).numpy(), opset, runtimes)
    assert found['samplers'] == samplers and found['opset'] == opset and found['largest'] > 0.5
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
