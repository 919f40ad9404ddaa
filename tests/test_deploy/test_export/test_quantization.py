"""INT8 files: what is in them, what they are scored by, and when they are refused."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from deploy_helpers import needs_onnx, smooth_image
from helpers import run_tool
from mmengine.config import Config
from PIL import Image
from quantization_helpers import CLASSES, SIZE, quantize

from sfnet_mm.deploy import load_runtime
from sfnet_mm.deploy.export.calibration import CalibrationInputs, class_scores, read_data
from sfnet_mm.deploy.export.float_parts import float_nodes

needs_onnx()
import onnx  # noqa: E402


def before_sampler(graph):
    """All nodes between each sampler's grid and the trained convolutions that it is made of."""
    made_by = {name: node for node in graph.node for name in node.output}
    values = {v.name: onnx.numpy_helper.to_array(v) for v in graph.initializer}
    waiting = [node.input[1] for node in graph.node if node.op_type == 'GridSample']
    found = []
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node in found:
            continue
        if node.op_type == 'Conv' and set(np.unique(values.get(node.input[1], 2))) - {0, 1}:
            continue
        found.append(node)
        waiting += node.input
    return found


@pytest.mark.parametrize('target', ['openvino', 'onnxruntime', 'tensorrt'])
def test_file_in_eight_bits(target, street, tmp_path, capsys):
    if target == 'openvino':
        pytest.importorskip('openvino', reason='needs requirements/deploy.txt')
        pytest.importorskip('nncf', reason='needs requirements/quantize.txt')
    out = str(tmp_path / 'int8.onnx')
    quantize(street, out, '--runtime', target, '--max-drop', 60)
    printed = capsys.readouterr().out
    assert '| class 1 | 100.00 |' in printed and 'bIoU INT8' in printed and 'times that' in printed
    assert ('build_trt.py' in printed) == (target == 'tensorrt')
    graph = onnx.load(out).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count('QuantizeLinear') > 5
    assert len(before_sampler(graph)) > 10
    assert not {'QuantizeLinear', 'DequantizeLinear'} & {n.op_type for n in before_sampler(graph)}
    name = 'openvino' if target == 'openvino' else 'onnxruntime'
    small, full = (load_runtime(name, p) for p in (out, str(street / 'model.onnx')))
    assert small.meta['precision'] == 'int8'
    for key in ('classes', 'palette', 'mean', 'std', 'size', 'pipeline', 'output'):
        assert small.meta[key] == full.meta[key]
    image = smooth_image(SIZE)
    assert (small.predict(image) == full.predict(image)).mean() > 0.8
    if target == 'tensorrt':
        constants = {v.name: onnx.numpy_helper.to_array(v) for v in graph.initializer}
        zeros = [constants[n.input[2]] for n in graph.node if n.op_type == 'QuantizeLinear']
        assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
        # Weights are int8 around zero with a scale for each output channel, biases float.
        made_by = {name: node for node in graph.node for name in node.output}
        kernels = [made_by.get(n.input[1]) for n in graph.node if n.op_type == 'Conv']
        kernels = [[constants[name] for name in n.input] for n in kernels if n is not None]
        assert sum(len(set(scale.tolist())) > 1 for _, scale, _ in kernels) > 5
        for kernel, scale, zero in kernels:
            assert kernel.dtype == np.int8 and not zero.any()
            assert scale.shape == kernel.shape[:1]
        assert not any(
            n.input[2] in made_by for n in graph.node if n.op_type == 'Conv' and len(n.input) > 2
        )


def test_past_the_limit_there_is_no_file(street, tmp_path):
    out = tmp_path / 'int8.onnx'
    with pytest.raises(SystemExit) as stopped:
        quantize(street, out, '--runtime', 'onnxruntime', '--max-drop', -1)
    line = str(stopped.value)
    assert 'more than --max-drop -1.0: nothing was written' in line and '\n' not in line
    assert 'class ' in line
    assert os.listdir(tmp_path) == []


def test_benchmark_writes_size_and_scores_of_each_precision(street, tmp_path):
    options = ['--size', '96x128', '--backend', 'onnxruntime', '--precision', 'f32,int8']
    options += ['--samples', 2, '--rounds', 1, '--warmup', 0, '--cache', tmp_path]
    options += ['--checkpoint', street / 'model.pth', '--out', tmp_path / 'found.json']
    run_tool('analysis_tools/benchmark', street / 'config.py', *options)
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['samples'] == 2 and found['checkpoint'] == str(street / 'model.pth')
    full, small = found['entries']
    # The labels are the predictions of the model.
    assert full['accuracy'] == full['boundary_iou'] == 100 > small['accuracy'] > 30
    sizes = {'int8' in f.name: round(f.stat().st_size / 1e6, 1) for f in tmp_path.glob('*.onnx')}
    assert sizes == {True: small['megabytes'], False: full['megabytes']}


@pytest.mark.parametrize('orientation, ignored', [(1, 255), (3, 255), (1, 2)])
def test_scores_are_those_of_counted_pixels(street, tmp_path, orientation, ignored):
    cfg = Config.fromfile(str(street / 'config.py'))
    cfg.val_evaluator.ignore_index = ignored
    cfg.val_dataloader.dataset.data_root = str(tmp_path)
    exif = Image.Exif()
    exif[274] = orientation
    shutil.copytree(street / 'labels', tmp_path / 'labels')
    shutil.copytree(street / 'images', tmp_path / 'images')
    for path in tmp_path.glob('images/val/*.png'):
        Image.open(path).save(path, exif=exif)
    runtime = load_runtime('onnxruntime', str(street / 'model.onnx'))
    predict = runtime.predict
    # A runtime that is wrong in a corner.
    runtime.predict = lambda image: np.where(np.indices(SIZE).sum(0) < 90, 1, predict(image))
    val = read_data(cfg, 'val', CLASSES)
    scores = class_scores(runtime, val, cfg, 'test')
    table = np.zeros((256, 3))
    for i in range(2):
        label = cv2.imread(str(street / 'labels' / 'val' / f'{i}.png'), cv2.IMREAD_UNCHANGED)
        mask = runtime.predict(cv2.imread(str(street / 'images' / 'val' / f'{i}.png')))
        counted = label != ignored
        np.add.at(table, (label[counted], mask[counted]), 1)
    for i, name in enumerate(CLASSES):
        iou = 100 * table[i, i] / (table[i].sum() + table[:, i].sum() - table[i, i])
        assert scores['IoU'][name] == pytest.approx(iou, nan_ok=True)


def test_calibration_sees_what_predict_runs(street):
    cfg = Config.fromfile(str(street / 'config.py'))
    runtime = load_runtime('onnxruntime', str(street / 'model.onnx'))
    inputs = CalibrationInputs(runtime, read_data(cfg, 'train', CLASSES), 2)
    assert [os.path.basename(path) for path in inputs.paths] == ['0.png', '3.png']
    seen, run = [], runtime.infer_all
    runtime.infer_all = lambda data: seen.append(data) or run(data)
    for path in inputs.paths:
        runtime.predict(cv2.imread(path))
    assert all(np.array_equal(a, b) for a, b in zip(seen, inputs))


@pytest.mark.parametrize('keep,kinds', [('warp', {'GridSample'}), ('classifier', {'ArgMax'})])
def test_parts_that_stay_in_float(street, keep, kinds):
    proto = onnx.load(str(street / 'model.onnx'))
    found = set(float_nodes(proto, [keep]))
    assert kinds <= {node.op_type for node in proto.graph.node if node.name in found}
    # The backbone is never among them.
    assert len(found) < len(proto.graph.node) / 2


def test_gate_is_what_blends_the_warped_maps(street):
    proto = onnx.load(str(street / 'model.onnx'))
    kinds = [n.op_type for n in proto.graph.node if n.name in float_nodes(proto, ['gate'])]
    assert kinds.count('Sub') == 1 and 'Sigmoid' in kinds and 'GridSample' not in kinds
