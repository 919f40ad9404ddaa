"""Choice of the backend, errors, compilation, export, autocast."""

import runpy
import sys

import pytest
import torch

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp, has_ext
from sfnet_mm.ops.loader import Extension

from .cases import BACKENDS, DEVICES, make_case, needs_ext

parametrize = pytest.mark.parametrize


class Fusion(torch.nn.Module):
    def forward(self, high, low, flow, gate):
        return gated_dual_flow_warp(high, low, flow, gate)


@pytest.fixture
def case():
    return make_case((1, 4, (3, 4), (5, 6)), torch.float32)


def op_of(name):
    return getattr(torch.ops.sfnet_mm, name).default


@needs_ext
@parametrize('device', DEVICES)
@parametrize('layout', ['nchw', 'channels_last'])
@parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(device, layout, dtype):
    case = make_case((1, 4, (3, 4), (5, 6)), dtype, layout, device=device)
    inputs = [t.requires_grad_() for t in case]
    grad = torch.randn_like(case.low)
    samples = [
        ('flow_warp', (inputs[0], inputs[2][:, :2])),
        ('gated_dual_flow_warp', (*inputs[:3], None)),
        ('gated_dual_flow_warp', tuple(inputs)),
        ('flow_warp_backward', (grad, case.high.detach(), case.flow[:, :2].detach())),
        ('gated_dual_flow_warp_backward', (grad, *(t.detach() for t in case))),
    ]
    # torch's check of the traced gradients compares to 1.3e-6, which bfloat16 does not have.
    checks = ['test_schema', 'test_autograd_registration', 'test_faketensor']
    if dtype == torch.float32:
        checks.append('test_aot_dispatch_dynamic')
    for name, args in samples:
        torch.library.opcheck(op_of(name), args, test_utils=checks)


@parametrize('backend', BACKENDS)
@parametrize('layout', ['nchw', 'channels_last'])
def test_compiles_without_a_graph_break(backend, layout):
    case = make_case((1, 4, (3, 4), (5, 6)), torch.float32, layout)
    torch.compiler.reset()

    @torch.compile(fullgraph=True, backend='aot_eager')
    def fuse(*args):
        return gated_dual_flow_warp(*args, backend=backend) * 2

    inputs = [t.requires_grad_() for t in case]
    grad = torch.randn_like(case.low)
    out = fuse(*inputs)
    expected = gated_dual_flow_warp(*inputs, backend=backend) * 2
    torch.testing.assert_close(out, expected)
    for ours, value in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad)
    ):
        torch.testing.assert_close(ours, value)


def test_an_exported_graph_holds_grid_samplers_only(case):
    exported = torch.export.export(Fusion(), tuple(case))
    targets = [str(node.target) for node in exported.graph.nodes]
    assert sum('grid_sampler' in name for name in targets) == 2
    assert not any('sfnet_mm' in name for name in targets)
    torch.testing.assert_close(exported.module()(*case), Fusion()(*case))

    traced = torch.jit.trace(Fusion(), tuple(case), check_trace=False)
    assert str(traced.inlined_graph).count('aten::grid_sampler') == 2
    torch.testing.assert_close(traced(*case), Fusion()(*case))


@parametrize('dynamo', [True, False], ids=['dynamo', 'torchscript'])
def test_onnx_holds_one_grid_sample_per_warp(case, dynamo, tmp_path):
    onnx = pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    if dynamo:
        pytest.importorskip('onnxscript')
    case.flow[0, 0, 0, 0] = float('nan')
    path = str(tmp_path / 'warp.onnx')
    options = dict(opset_version=18, input_names=['high', 'low', 'flow', 'gate'])
    torch.onnx.export(Fusion(), tuple(case), path, dynamo=dynamo, **options)
    assert [node.op_type for node in onnx.load(path).graph.node].count('GridSample') == 2
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    fed = {i.name: t.numpy() for i, t in zip(session.get_inputs(), case)}
    (got,) = session.run(None, fed)
    torch.testing.assert_close(torch.from_numpy(got), Fusion()(*case), rtol=1e-4, atol=1e-5)


@parametrize('backend', BACKENDS)
def test_autocast_takes_the_wider_map_and_keeps_positions_exact(backend, case):
    mixed = case._replace(high=case.high.bfloat16())
    with pytest.raises(ValueError, match='low is torch.float32 and high is torch.bfloat16'):
        gated_dual_flow_warp(*mixed, backend=backend)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = gated_dual_flow_warp(*mixed, backend=backend)
        half = flow_warp(mixed.high, case.flow[:, :2], backend=backend)
    expected = gated_dual_flow_warp(mixed.high.float(), *case[1:], backend=backend)
    torch.testing.assert_close(out, expected)
    assert half.dtype == torch.bfloat16


def test_flops_are_counted(case):
    from mmengine.analysis import FlopAnalyzer

    # Two samples of four products each per output number, whatever the device would run.
    assert FlopAnalyzer(Fusion(), tuple(case)).total() >= 2 * 4 * case.low.numel()


@parametrize(
    ('change', 'message'),
    [
        ({'high': (1, 4, 3)}, r'high has shape \(1, 4, 3\)'),
        ({'high': (1, 4, 0, 4)}, r'high has shape \(1, 4, 0, 4\)'),
        ({'low': (1, 5, 5, 6)}, r'low has shape \(1, 5, 5, 6\)'),
        ({'low': (2, 4, 5, 6)}, r'low has shape \(2, 4, 5, 6\)'),
        ({'flow': (1, 2, 5, 6)}, r'flow has shape \(1, 2, 5, 6\)'),
        ({'flow': (1, 4, 5, 7)}, r'flow has shape \(1, 4, 5, 7\)'),
        ({'gate': (1, 2, 5, 6)}, r'gate has shape \(1, 2, 5, 6\)'),
        ({'gate': (5, 6)}, r'gate has shape \(5, 6\)'),
    ],
)
@parametrize('backend', BACKENDS)
def test_bad_shapes_are_named(backend, change, message, case):
    case = case._replace(**{name: torch.zeros(shape) for name, shape in change.items()})
    with pytest.raises(ValueError, match=message):
        gated_dual_flow_warp(*case, backend=backend)


@parametrize('backend', BACKENDS)
def test_bad_dtypes_devices_and_backends_are_named(backend, case):
    with pytest.raises(ValueError, match='flow is torch.int64'):
        flow_warp(case.high, case.flow[:, :2].long(), backend=backend)
    with pytest.raises(ValueError, match='x is torch.int32'):
        flow_warp(case.high.int(), case.flow[:, :2], backend=backend)
    with pytest.raises(ValueError, match='flow is on meta and x on cpu'):
        flow_warp(case.high, case.flow[:, :2].to('meta'), backend=backend)
    with pytest.raises(ValueError, match="backend is 'cuda'"):
        flow_warp(case.high, case.flow[:, :2], backend='cuda')


@needs_ext
def test_the_operator_itself_checks_its_arguments(case):
    for args, message in [
        ((case.high[0], case.flow), 'x has shape'),
        ((case.high, case.flow), 'flow has shape'),
        ((case.high, case.flow[:, :2].long()), 'flow is'),
    ]:
        with pytest.raises(RuntimeError, match=message):
            torch.ops.sfnet_mm.flow_warp(*args)


def test_a_library_for_another_torch_is_never_loaded(tmp_path):
    # The text would be read from a real library the same way; this one could not be loaded.
    library = tmp_path / '_ext.abi3.so'
    library.write_bytes(b'\0' * 64 + b'SFNET_MM_BUILD{torch=1.0.0+cpu}' + b'\0')
    extension = Extension(tmp_path)
    assert not extension.devices
    assert 'built for torch 1.0.0+cpu' in extension.why_not('cpu')
    assert torch.__version__ in extension.describe()


@parametrize('content', [b'', b'not a library', f'SFNET_MM_BUILD{{torch={torch.__version__}}}'])
def test_a_broken_library_is_reported_not_raised(tmp_path, content):
    (tmp_path / '_ext.so').write_bytes(content if isinstance(content, bytes) else content.encode())
    reason = Extension(tmp_path).why_not('cpu')
    assert '_ext.so' in reason and '\n' not in reason and 'SFNET_MM_WITH_OPS=1' in reason


def test_without_a_library_ext_says_how_to_build_it(case, tmp_path, monkeypatch):
    missing = Extension(tmp_path)
    monkeypatch.setattr(sys.modules['sfnet_mm.ops.flow_warp'], 'EXT', missing)
    with pytest.raises(RuntimeError, match='SFNET_MM_WITH_OPS=1 pip install'):
        gated_dual_flow_warp(*case, backend='ext')
    assert gated_dual_flow_warp(*case).shape == case.low.shape


@needs_ext
def test_on_a_cpu_auto_takes_the_kernel_for_channels_last_maps_only(monkeypatch):
    module, native = sys.modules['sfnet_mm.ops.flow_warp'], []
    warp = module.warp
    monkeypatch.setattr(module, 'warp', lambda *args: native.append(args) or warp(*args))
    for layout, calls in (('channels_last', 0), ('nchw', 1)):
        case = make_case((1, 4, (3, 4), (5, 6)), torch.float32, layout)
        flow_warp(case.high, case.flow[:, :2])
        assert len(native) == calls


def test_the_report_names_torch_and_the_choice(capsys):
    runpy.run_module('sfnet_mm.ops', run_name='__main__')
    printed = capsys.readouterr().out
    assert torch.__version__ in printed
    assert ('ext on cpu' if has_ext() else 'native on cpu') in printed


def test_default_device_does_not_matter():
    """The positions are made on the device of the maps, and not on the default device."""
    case = make_case((1, 8, (3, 4), (6, 8)), torch.float32, 'channels_last')
    expected = gated_dual_flow_warp(*case, backend='native')
    with torch.device('meta'):
        got = gated_dual_flow_warp(*case, backend='native')
    torch.testing.assert_close(got, expected)
