import json

import numpy as np
import pytest
from helpers import run_tool

from sfnet_mm.benchmark.backends import Settings
from sfnet_mm.benchmark.foreign import ForeignGraph
from sfnet_mm.benchmark.models import run_benchmark
from sfnet_mm.benchmark.peers import PEERS

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
TOOL = 'analysis_tools/benchmark'


def write_graph(path, shape=(1, 3, 64, 96), kind='FLOAT', inputs=1):
    """A file without our metadata: a 1x1 convolution of 3 to 5 channels, kept where it is."""
    tensor = onnx.TensorProto
    names = [f'x{i}' for i in range(inputs)]
    weight = onnx.numpy_helper.from_array(np.ones((5, 3, 1, 1), np.float32), 'weight')
    nodes = [
        onnx.helper.make_node('Cast', ['x0'], ['float'], to=tensor.FLOAT),
        onnx.helper.make_node('Conv', ['float', 'weight'], ['y']),
    ]
    make = onnx.helper.make_tensor_value_info
    ins = [make(name, getattr(tensor, kind), shape) for name in names]
    graph = onnx.helper.make_graph(nodes, 'other', ins, [make('y', tensor.FLOAT, None)], [weight])
    opset = [onnx.helper.make_opsetid('', 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return str(path)


def test_file_runs_at_the_size_of_its_input(tmp_path):
    fixed = ForeignGraph(write_graph(tmp_path / 'a.onnx'), (128, 256))
    assert fixed.shape == (1, 3, 64, 96) and fixed.parameters == 15
    open_ = ForeignGraph(write_graph(tmp_path / 'b.onnx', ('n', 3, 'h', 'w')), (128, 256))
    assert open_.shape == (1, 3, 128, 256)
    raw = ForeignGraph(write_graph(tmp_path / 'c.onnx', ('n', 'h', 'w', 3), 'UINT8'), (128, 256))
    assert raw.shape == (1, 128, 256, 3) and raw.dtype == np.uint8


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_files_are_timed_beside_models_in_the_same_rounds(tmp_path, backend, monkeypatch):
    pytest.importorskip(backend)
    import sfnet_mm.benchmark.models as timing

    order = []
    original = timing.time_pass
    monkeypatch.setattr(
        timing, 'time_pass', lambda call, *args: order.append(call) or original(call, *args)
    )
    files = {'a': write_graph(tmp_path / 'a.onnx', (1, 3, 'h', 'w'))}
    files['b'] = write_graph(tmp_path / 'b.onnx', kind='UINT8')
    settings = Settings(size=(128, 256), rounds=3, warmup=0, threads=1)
    entries = run_benchmark({}, ['native', backend], settings, files=files)
    assert [(e.name, e.backend, len(e.milliseconds)) for e in entries] == [
        ('a', backend, 3),
        ('b', backend, 3),
    ]
    assert order[0] is order[3] is order[4] and order[1] is order[2] is order[5]
    assert entries[0].note == 'a.onnx, 1x3x128x256 to 1x5x128x256 float32'
    assert entries[1].note == 'b.onnx, 1x3x64x96 to 1x5x64x96 float32'


def test_tool_writes_what_a_file_computes(tmp_path):
    path = write_graph(tmp_path / 'a.onnx')
    out = tmp_path / 'speed.json'
    options = ['--backend', 'onnxruntime', '--size', '64x128', '--rounds', 2, '--out', out]
    run_tool(TOOL, '--onnx', f'Other={path}', *options)
    (entry,) = json.loads(out.read_text())['entries']
    assert entry['name'] == 'Other' and len(entry['milliseconds']) == 2
    table = (tmp_path / 'speed.md').read_text()
    assert '| Other | 0.00M | - |' in table
    assert '- Other: a.onnx, 1x3x64x96 to 1x5x64x96 float32' in table


@pytest.mark.parametrize(
    'options, message',
    [
        (['--onnx', 'model.onnx'], '--onnx model.onnx is not NAME=FILE'),
        (['--onnx', 'a=missing.onnx'], 'missing.onnx does not exist'),
        (['--onnx', 'a={text}'], 'text.onnx cannot be read as ONNX'),
        (['--onnx', 'a={two}'], r'two.onnx has 2 inputs'),
        (['--onnx', 'a={good}', '--onnx', 'a={good}'], '--onnx names two files a'),
        (['--onnx', 'a={good}', '--backend', 'native'], 'need a backend that reads them'),
        (['--onnx', 'CGNet={good}', '--peers', 'CGNet'], '--onnx names a file CGNet'),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, options, message):
    (tmp_path / 'text.onnx').write_text('no graph')
    two = write_graph(tmp_path / 'two.onnx', inputs=2)
    good = write_graph(tmp_path / 'good.onnx')
    options = [o.format(text=tmp_path / 'text.onnx', two=two, good=good) for o in options]
    with pytest.raises(SystemExit, match=message) as caught:
        run_tool(TOOL, '--backend', 'onnxruntime', *options, '--size', '64x128')
    assert '\n' not in str(caught.value)


def test_peer_of_other_data_gets_the_classes_of_cityscapes():
    assert PEERS['SegNeXt-T'].read().model.decode_head.num_classes == 19
