import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from deploy_helpers import CONFIG, META, SIZE, needs_onnx, predicted_by_mmseg, small_model
from helpers import run_tool

from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.deploy.export.onnx_graph import count_nodes

needs_onnx()


def random_image(size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def expected(checkpoint):
    """Mask by mmseg's own inference."""
    return predicted_by_mmseg(CONFIG, checkpoint, random_image())


def test_graph_is_standard_and_has_one_sampler_per_warp(onnx_file):
    import onnx

    model = onnx.load(onnx_file)
    onnx.checker.check_model(model)
    assert {o.domain: o.version for o in model.opset_import}[''] == 18
    assert {n.domain for n in model.graph.node} == {''} and not model.functions
    assert count_nodes(onnx_file) == 2
    assert count_nodes(onnx_file, 'BatchNormalization') == 0
    # TensorRT and the layouts of ONNX Runtime want kernels that are in the file.
    constants = {value.name for value in model.graph.initializer}
    assert all(n.input[1] in constants for n in model.graph.node if n.op_type == 'Conv')
    meta = {p.key: json.loads(p.value) for p in model.metadata_props}
    assert meta['classes'] == list(META['classes']) and meta['size'] == list(SIZE)
    assert meta['mean'] == [pytest.approx(v) for v in (123.675, 116.28, 103.53)]


@pytest.mark.parametrize('name', ['torch', 'onnxruntime', 'openvino'])
def test_every_runtime_gives_the_mask_of_mmseg(name, onnx_file, checkpoint, expected):
    if name == 'torch':
        runtime = load_runtime(name, CONFIG, checkpoint)
    else:
        pytest.importorskip(name)
        runtime = load_runtime(name, onnx_file)
    mask = runtime.predict(random_image())
    assert mask.dtype == np.uint8 and mask.shape == SIZE
    assert (mask == expected).mean() >= 0.999
    assert list(runtime.classes) == list(META['classes'])


def test_file_for_openvino_computes_the_same(checkpoint, onnx_file, tmp_path):
    import onnx

    path = str(tmp_path / 'model.onnx')
    model = load_model(CONFIG, checkpoint)
    export_onnx(model, path, SIZE, 'logits', normalize=True, runtime='openvino')
    masks = str(tmp_path / 'masks.onnx')
    export_onnx(model, masks, SIZE, 'argmax', normalize=True, runtime='openvino')
    assert count_nodes(path) == count_nodes(masks) == 2
    batches = []
    for file in (onnx_file, path):
        graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
        shapes = {v.name: v.type.tensor_type.shape.dim for v in graph.value_info}
        samplers = [n for n in graph.node if n.op_type == 'GridSample']
        batches.append({shapes[n.output[0]][0].dim_value for n in samplers})
    assert batches == [{1}, {8}]
    # OpenVINO is slow to search classes and to pad maps; both are written in another way.
    assert not {'ArgMax', 'Pad'} & {n.op_type for n in onnx.load(masks).graph.node}
    image = random_image()[None]
    expected = load_runtime('onnxruntime', onnx_file).infer(image)
    for name in ('onnxruntime', 'openvino'):
        pytest.importorskip(name)
        logits = load_runtime(name, path).infer(image)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * abs(expected).max())
        assert (load_runtime(name, masks).infer(image) == expected.argmax(1)).mean() >= 0.999
    with pytest.raises(ValueError, match="'tvm' is not one of onnxruntime, openvino"):
        export_onnx(model, path, SIZE, runtime='tvm')


def test_image_of_another_size_keeps_its_size(onnx_file):
    assert load_runtime('onnxruntime', onnx_file).predict(random_image((70, 90))).shape == (70, 90)


@pytest.mark.slow
def test_open_sizes_and_classes(tmp_path):
    config, checkpoint, model = small_model(str(tmp_path))
    path = str(tmp_path / 'open.onnx')
    first, second = export_onnx(model, path, SIZE, 'argmax', dynamic=True)
    assert first.agreement >= 0.999 and second.agreement >= 0.999
    assert second.size[0] % 32 and second.size[1] % 32
    runtime = load_runtime('onnxruntime', path)
    image = random_image((101, 133))
    same = runtime.predict(image) == load_runtime('torch', config, checkpoint).predict(image)
    assert same.mean() >= 0.999


@pytest.mark.slow
def test_half_precision_keeps_the_sampler_in_single_precision(checkpoint, tmp_path):
    import onnx

    path = str(tmp_path / 'half.onnx')
    export_onnx(load_model(CONFIG, checkpoint), path, SIZE, fp16=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
    weights = [w.data_type for w in graph.initializer if len(w.dims) == 4 and w.dims[-1] == 3]
    assert weights and set(weights) == {onnx.TensorProto.FLOAT16}
    samplers = [n for n in graph.node if n.op_type == 'GridSample']
    inputs = [kinds[name] for n in samplers for name in n.input if name in kinds]
    assert inputs and set(inputs) == {onnx.TensorProto.FLOAT}


def test_parity_tool_compares_keeps_and_names_what_is_wrong(capsys, tmp_path):
    pytest.importorskip('openvino')
    config, *_ = small_model(str(tmp_path))
    out = tmp_path / 'new' / 'parity.json'
    options = ('--sizes', '97x161', '--out', out)
    run_tool('deployment/check_parity', config, *options)
    (found,) = json.loads(out.read_text()).values()
    assert found['samplers'] == 2 and found['torch_to_float64'] < 1e-3
    for runtime in ('onnxruntime', 'openvino'):
        assert found[runtime]['agreement'] >= 0.999
        assert 0 < found[runtime]['difference'] < 1e-3
        assert 0 < found[runtime]['to_float64'] < 1e-3
    before = out.stat().st_mtime_ns
    # A config that fails does not end the others, and is named in the last line.
    with pytest.raises(SystemExit, match='1 of 2 .* first: missing.*missing.py does not exist'):
        run_tool('deployment/check_parity', 'missing.py', config, *options)
    assert out.stat().st_mtime_ns == before and '2 GridSample' in capsys.readouterr().out
    out.write_text('{')
    with pytest.raises(SystemExit, match='parity.json is no JSON'):
        run_tool('deployment/check_parity', config, *options)


def test_parity_tool_takes_trained_weights_and_a_picture(tmp_path):
    pytest.importorskip('openvino')
    import cv2
    from mmseg.apis import inference_model

    config, checkpoint, model = small_model(str(tmp_path))
    image, out = tmp_path / 'image.png', tmp_path / 'parity.json'
    assert cv2.imwrite(str(image), random_image())
    size = '{}x{}'.format(*SIZE)
    args = [config, '--sizes', size, '--out', out, '--checkpoint', checkpoint]
    run_tool('deployment/check_parity', *args, '--image', image)
    ((name, found),) = json.loads(out.read_text()).items()
    assert name == f'config (model.pth) {size}'
    logits = inference_model(model, random_image()).seg_logits.data
    assert found['largest_logit'] == pytest.approx(float(logits.abs().max()), rel=1e-4)
    with pytest.raises(SystemExit):
        run_tool('deployment/check_parity', *args)
    out.unlink()
    with pytest.raises(SystemExit, match='image missing.png does not exist'):
        run_tool('deployment/check_parity', *args, '--image', 'missing.png')


def test_missing_package_is_named_with_its_install_command(monkeypatch, tmp_path):
    for name in ('onnxruntime', 'openvino', 'tensorrt', 'onnxscript'):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ('onnxruntime', 'openvino'):
        with pytest.raises(ImportError, match=f'{name} is not installed: pip install {name}'):
            load_runtime(name, 'model.onnx')
    with pytest.raises(ImportError, match='TensorRT is not installed'):
        load_runtime('tensorrt', 'model.engine')
    with pytest.raises(ImportError, match='onnxscript is not installed: pip install'):
        export_onnx(torch.nn.Conv2d(1, 1, 1), str(tmp_path / 'a.onnx'))
    with pytest.raises(ValueError, match='tvm'):
        load_runtime('tvm')


@pytest.mark.parametrize(
    'args, message',
    [
        (['missing.py', 'none', 'a.onnx'], 'config missing.py does not exist'),
        ([CONFIG, 'missing.pth', 'a.onnx'], 'checkpoint missing.pth does not exist'),
        ([CONFIG, 'OTHER', 'a.onnx'], 'does not belong to'),
        ([CONFIG, 'BROKEN', 'a.onnx'], 'broken.pth'),
        ([CONFIG, 'none', 'a.pb'], 'must end in .onnx'),
        ([CONFIG, 'none', '.'], '. cannot be written: it is a folder'),
        ([CONFIG, 'none', '/proc/a.onnx'], '/proc/a.onnx cannot be written: /proc takes no files'),
        ([CONFIG, 'none', 'a.onnx', '--size', '32x64'], 'too small for the context pooling'),
    ],
)
def test_export_tool_names_what_is_wrong_in_one_line(tmp_path, monkeypatch, args, message):
    torch.save({'state_dict': {'layer.weight': torch.zeros(3)}}, tmp_path / 'other.pth')
    (tmp_path / 'broken.pth').write_bytes(b'PK\x03\x04 cut off')
    monkeypatch.chdir(tmp_path)
    named = {'OTHER': 'other.pth', 'BROKEN': 'broken.pth'}
    with pytest.raises(SystemExit) as caught:
        run_tool('deployment/export_onnx', *[named.get(a, a) for a in args])
    assert message in str(caught.value) and '\n' not in str(caught.value)
    assert not list(tmp_path.glob('*.onnx*'))


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_runtime_names_a_bad_file(name, tmp_path):
    pytest.importorskip(name)
    with pytest.raises(FileNotFoundError, match='missing.onnx does not exist'):
        load_runtime(name, 'missing.onnx')
    path = tmp_path / 'broken.onnx'
    path.write_bytes(b'not a graph')
    with pytest.raises(ValueError, match='cannot be read as ONNX') as caught:
        load_runtime(name, str(path))
    assert '\n' not in str(caught.value)


def test_openvino_names_a_device_that_is_not_there(onnx_file):
    pytest.importorskip('openvino')
    with pytest.raises(ValueError, match='cannot run .*model.onnx on NONE: .*NONE') as caught:
        load_runtime('openvino', onnx_file, device='NONE')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('device', ['gpu', 'CUDA', 'mps', '', 'cuda:', 'model.pth', None])
def test_onnxruntime_names_a_device_that_it_does_not_know(device, onnx_file):
    """It took the CPU without a word."""
    with pytest.raises(ValueError, match='is not one of cpu, cuda and cuda:N'):
        load_runtime('onnxruntime', onnx_file, device)


def test_onnxruntime_refuses_fewer_than_no_threads(onnx_file):
    with pytest.raises(ValueError, match='threads=-1 must be 0 or more'):
        load_runtime('onnxruntime', onnx_file, threads=-1)


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_threads_share_a_runtime(name, onnx_file):
    pytest.importorskip(name)
    runtime = load_runtime(name, onnx_file)
    images = [np.random.default_rng(i).integers(0, 256, (*SIZE, 3), np.uint8) for i in range(4)]
    expected = [runtime.predict(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for got, wanted in zip(pool.map(runtime.predict, 3 * images), 3 * expected):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    'name, message',
    [
        ('onnxruntime', 'CUDAExecutionProvider is not there'),
        ('openvino', 'cannot run .* on cuda'),
        ('pt2', 'takes no --device cuda'),
    ],
)
def test_predict_passes_the_device_on(name, message, onnx_file, media):
    options = ['--runtime', name, '--device', 'cuda', '--out-dir', media / 'out']
    with pytest.raises(SystemExit, match=message):
        run_tool('demo/predict', onnx_file, '-', media / 'images', *options)
    assert not (media / 'out').exists()


@pytest.mark.parametrize(
    'graph, message',
    [('m.onnx', '--runtime onnxruntime or openvino'), ('m.pt2', '--runtime pt2')],
)
def test_predict_says_which_runtime_a_graph_needs(graph, message, capsys):
    with pytest.raises(SystemExit):
        run_tool('demo/predict', graph, '-', 'street.jpg')
    assert f'{graph} is a graph: choose {message}' in capsys.readouterr().err


def test_bad_images_are_refused(onnx_file):
    runtime = load_runtime('onnxruntime', onnx_file)
    for other in ('street.jpg', torch.zeros(3, *SIZE)):
        with pytest.raises(ValueError, match=f'image is {type(other).__name__}: expected an array'):
            runtime.predict(other)
    for bad in (np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)):
        with pytest.raises(ValueError, match='uint8'):
            runtime.predict(bad)
