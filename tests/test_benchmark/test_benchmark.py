import copy
import json
import os.path as osp

import pytest
import torch
from helpers import ROOT, run_tool
from mmengine.config import Config

from sfnet_mm.benchmark.accuracy_plot import plot
from sfnet_mm.benchmark.backends import Settings, add_precisions, check_backend, parse_backends
from sfnet_mm.benchmark.complexity import complexity
from sfnet_mm.benchmark.models import Entry, run_benchmark
from sfnet_mm.benchmark.peers import PEERS, published, without_flow
from sfnet_mm.benchmark.report import markdown
from sfnet_mm.deploy import load_model

TOOL = 'analysis_tools/benchmark'
CONFIG = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_cityscapes.py')

BASE = osp.join(ROOT, 'configs', '_base_', 'default_runtime.py')


def test_all_backends_are_timed_in_interleaved_rounds(monkeypatch):
    import sfnet_mm.benchmark.models as timing

    order = []
    original = timing.time_pass

    def spy(call, backend, settings):
        order.append(backend)
        return original(call, backend, settings)

    monkeypatch.setattr(timing, 'time_pass', spy)
    settings = Settings(size=(64, 128), rounds=3, warmup=0)
    seen = []
    entries = run_benchmark(
        {'lite': Config.fromfile(CONFIG)},
        ['authors', 'native', 'optimize', 'graph'],
        settings,
        lambda found: seen.append(len(found[0].milliseconds)),
    )
    forth = ['authors', 'native', 'optimize']
    assert order == forth + forth[::-1] + forth and seen == [1, 2, 3]
    *timed, graph = entries
    assert all(len(e.milliseconds) == 3 and min(e.milliseconds) > 0 for e in timed)
    assert graph.failure == 'CUDA graphs need a CUDA device' and not graph.milliseconds


def test_complexity_counts_what_runs():
    cfg = Config.fromfile(CONFIG)
    model = load_model(cfg)
    parameters, macs = complexity(model, (1024, 2048))
    # SFNet-Lite-STDC1 without the layers of training: 6.434M parameters and 74.2G multiply-adds
    # (the authors, counted at 1024x2048).
    at_inference = [p for n, p in model.named_parameters() if '.dsn' not in n]
    assert parameters == sum(p.numel() for p in at_inference)
    assert parameters / 1e6 == pytest.approx(6.434, abs=0.001)
    assert macs / 1e9 == pytest.approx(74.2, rel=0.002)


def test_a_model_that_cannot_be_counted_is_a_dash_and_the_rest_goes_on(tmp_path):
    # LR-ASPP pools windows of 49 pixels, which its map of 16x8 at this size does not have.
    out = tmp_path / 'speed.json'
    arguments = ('--size', '128x256', '--rounds', 1, '--backend', 'native', '--out', out)
    with pytest.warns(UserWarning, match='LR-ASPP-MobileNetV3: multiply-adds cannot be counted'):
        run_tool(TOOL, '--peers', 'LR-ASPP-MobileNetV3,Fast-SCNN', *arguments)
    first, second = json.loads(out.read_text())['entries']
    assert first['macs'] == 0 and 3e6 < first['parameters'] < 4e6 and first['failure']
    assert second['macs'] > 0 and second['milliseconds']
    assert '| LR-ASPP-MobileNetV3 | 3.28M | - | - |' in (tmp_path / 'speed.md').read_text()


def test_twin_is_the_same_network_without_flow():
    cfg = Config.fromfile(CONFIG)
    before = copy.deepcopy(cfg)
    twin = without_flow(cfg)
    assert cfg.model == before.model and twin.model.decode_head.align is None
    names = {n for n, _ in load_model(cfg).named_parameters()}
    gone = names - {n for n, _ in load_model(twin).named_parameters()}
    assert gone and all('flow_align_module' in n for n in gone)
    panoptic = osp.join(ROOT, 'configs', 'panoptic', 'sfnet_knet_stdc1_minicityscapes.py')
    # as a file only: its modules need mmdet
    panoptic = Config.fromfile(panoptic, import_custom_modules=False)
    for other in (twin, panoptic):
        with pytest.raises(ValueError, match='no flow alignment'):
            without_flow(other)


@pytest.mark.parametrize('name', list(PEERS))
def test_peers_are_configs_of_the_host(name):
    assert PEERS[name].read().model.type == 'EncoderDecoder'
    assert 60 < published(name).miou < 85 and published(name).source


def test_table_has_a_row_per_model_and_names_failures():
    header = dict(
        device='a CPU', date='today', size='64x128', precision='float32', output='argmax', rounds=3
    )
    entries = [
        Entry('a', 'native', 2_000_000, 3_000_000_000, [30.0, 10.0, 20.0], 5 * 2**20),
        Entry('a', 'openvino', 2_000_000, 3_000_000_000, failure='not installed'),
    ]
    table = markdown(header, [e.to_dict() for e in entries])
    assert '| a | 2.00M | 3.0G | 20.0 (5) | - |' in table
    assert 'a on openvino: not installed' in table and 'a CPU' in table


def test_frame_rates_are_compared_round_by_round():
    header = dict(device='-', date='-', size='-', precision='-', output='-', rounds=3)
    entries = [
        Entry('a', 'authors', 1, 1, [30.0, 60.0, 90.0]),
        Entry('a', 'ext', 1, 1, [10.0, 20.0, 45.0]),
        Entry('a without flow', 'ext', 1, 1, [9.0, 19.0, 40.0]),
    ]
    table = markdown(header, [e.to_dict() for e in entries])
    # the machine was slower in every round: 0.9, 0.95, 0.89 and 3, 3, 2
    assert '| a | its twin without flow | - | 0.90 |' in table
    assert '| a | `authors` | 1.00 | 3.00 |' in table
    assert 'frame rate' not in markdown(header, [e.to_dict() for e in entries[:1]])


def test_neighbors_in_a_round_are_models_on_one_backend(monkeypatch):
    import sfnet_mm.benchmark.models as timing

    order = []

    def spy(call, backend, settings):
        order.append((backend, call()))
        return 1.0

    monkeypatch.setattr(timing, 'make_call', lambda name, *_: lambda: name)
    monkeypatch.setattr(timing, 'time_pass', spy)
    cfg = Config.fromfile(CONFIG)
    models = {'lite': cfg, 'twin': without_flow(cfg)}
    run_benchmark(models, ['native', 'optimize'], Settings(size=(64, 128), rounds=2))
    forth = [(b, m) for b in ('native', 'optimize') for m in ('lite', 'twin')]
    assert order == forth + forth[::-1]


def test_nothing_is_drawn_without_a_published_accuracy(tmp_path):
    header = dict(device='a CPU', size='64x128')
    entry = Entry('unknown', 'native', 1, 1, [10.0]).to_dict()
    assert not plot(str(tmp_path / 'plot.png'), header, [entry])
    assert not list(tmp_path.iterdir())


def test_tool_writes_json_table_and_plot(tmp_path):
    out = tmp_path / 'speed.json'
    arguments = '--peers Fast-SCNN --twins --size 64x128 --rounds 2 --backend native'
    run_tool(TOOL, CONFIG, *arguments.split(), '--out', out)
    found = json.loads(out.read_text())
    assert [e['name'] for e in found['entries']] == [
        'sfnet_lite_stdc1_cityscapes',
        'sfnet_lite_stdc1_cityscapes without flow',
        'Fast-SCNN',
    ]
    assert torch.__version__ in found['device']
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ['.json', '.md', '.png']


@pytest.mark.parametrize(
    'args, message',
    [
        ([], 'there is nothing to time'),
        (['missing.py'], 'config missing.py does not exist'),
        ([BASE], 'default_runtime.py has no model'),
        ([CONFIG, '--backend', 'caffe'], "backend 'caffe' is not one of"),
        ([CONFIG, '--size', '1024'], 'is not HEIGHTxWIDTH'),
        ([CONFIG, '--size', '32x32'], 'too small for the context pooling'),
        ([CONFIG, '--peers', 'YOLO'], "peer 'YOLO' is not one of"),
        ([CONFIG, '--half'], '--half is for CUDA devices'),
        ([CONFIG, '--device', 'warp9'], "device 'warp9' is not one that torch knows"),
    ],
)
def test_bad_arguments_are_named_in_one_line(args, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run_tool(TOOL, *args, '--rounds', '1')
    assert '\n' not in str(caught.value)


def test_precisions_belong_to_the_runtimes_that_have_them():
    backends = add_precisions(['native', 'onnxruntime', 'openvino'], ['f32', 'bf16', 'int8'])
    files = ['onnxruntime', 'onnxruntime@int8', 'openvino', 'openvino@bf16', 'openvino@int8']
    assert backends == ['native', *files]
    assert add_precisions(['openvino'], ['int8']) == ['openvino@int8']
    with pytest.raises(ValueError, match="precision 'fp8' is not one of"):
        add_precisions(['openvino'], ['fp8'])
    with pytest.raises(ValueError, match="backend 'onnxruntime@bf16' has no such precision"):
        check_backend('onnxruntime@bf16', Settings())


def test_precisions_and_accuracy_are_in_one_table():
    header = dict(
        device='a CPU', date='today', size='64x64', output='argmax', precision='float32', rounds=2
    )
    entries = [
        Entry('lite', 'openvino', 1000, 10**9, milliseconds=[30.0, 34.0], accuracy=71.88),
        Entry('lite', 'openvino@int8', 1000, 10**9, milliseconds=[15.0, 17.0], accuracy=72.1),
    ]
    table = markdown(header, [e.to_dict() for e in entries])
    assert '| lite | 0.00M | 1.0G | 32.0, 71.88 mIoU | 16.0, 72.10 mIoU |' in table
    assert '| frame rate over float32 | openvino@int8 |' in table and '| lite | 2.00 |' in table


@pytest.mark.slow
def test_eight_bits_of_random_weights_are_timed(tmp_path):
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(package, reason='needs requirements/deploy.txt')
    settings = Settings(size=(64, 96), rounds=2, warmup=0, threads=1, cache=str(tmp_path))
    backends = ['onnxruntime', 'onnxruntime@int8']
    entries = run_benchmark({'lite': Config.fromfile(CONFIG)}, backends, settings)
    assert [e.failure for e in entries] == ['', '']
    assert all(len(e.milliseconds) == 2 for e in entries)
    float32, int8 = sorted(tmp_path.glob('*.onnx'), key=lambda p: -p.stat().st_size)
    assert int8.name.endswith('_int8.onnx') and int8.stat().st_size < 0.5 * float32.stat().st_size


def test_former_names_of_backends_are_understood():
    assert parse_backends('release,torch,ext@float16') == ['authors', 'native', 'ext@float16']
    assert parse_backends('authors,native') == ['authors', 'native']
