import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import randomize_norms
from mmengine.runner.checkpoint import load_checkpoint

from sfnet_mm.models import EfficientNetLite
from sfnet_mm.models.backbones.efficientnet_lite import DownsamplingConv2d

CHANNELS = {'lite0': (24, 40, 112, 320), 'lite1': (24, 40, 112, 320), 'lite2': (24, 48, 120, 352)}
# Parameters of the whole ImageNet classifiers, of 1280 features.
PUBLISHED = {'lite0': 4652008, 'lite1': 5416680, 'lite2': 6092072}
# Kernel, stride and expansion of the blocks of lite0.
BLOCKS = ['311', '326', '316', '526', '516', '326', '316', '316', '516', '516', '516']
BLOCKS += ['526', '516', '516', '516', '316']


def published_weights(model, arch='lite0'):
    """The state dict of a model under the published names, with a classifier."""
    layers = {
        'expand_conv': ('_expand_conv', '_bn0'),
        'depthwise_conv': ('_depthwise_conv', '_bn1'),
        'linear_conv': ('_project_conv', '_bn2'),
        'stem': ('_conv_stem', '_bn0'),
    }
    weights = {}
    for key, value in model.state_dict().items():
        *block, layer, part, name = key.split('.')
        prefix = f'_blocks.{block[1]}.' if block else ''
        weights[f'{prefix}{layers[layer][part == "bn"]}.{name}'] = value.clone()
    features = CHANNELS[arch][-1]
    weights['_conv_head.weight'] = torch.zeros(1280, features, 1, 1)
    weights['_bn1.running_mean'] = torch.zeros(1280)
    weights['_fc.bias'] = torch.zeros(1000)
    return weights


def same_padding(x, kernel, stride):
    """TensorFlow's "same" padding as its documentation defines it."""
    margins = []
    for size in reversed(x.shape[-2:]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        margins += [total // 2, total - total // 2]
    return F.pad(x, margins)


def reference_maps(weights, x):
    """Lite0 from published weights, block after block; eps is 1e-3."""

    def conv_bn(x, conv, bn, kernel=1, stride=1, act=True):
        weight = weights[f'{conv}.weight']
        groups = 1 if weight.shape[1] == x.shape[1] else x.shape[1]
        x = F.conv2d(same_padding(x, kernel, stride), weight, stride=stride, groups=groups)
        mean, var, w, b = (
            weights[f'{bn}.{k}'][:, None, None]
            for k in ('running_mean', 'running_var', 'weight', 'bias')
        )
        x = (x - mean) / (var + 1e-3).sqrt() * w + b
        return x.clamp(0, 6) if act else x

    x = conv_bn(x, '_conv_stem', '_bn0', 3, 2)
    maps = []
    for i, (kernel, stride, expansion) in enumerate(tuple(map(int, b)) for b in BLOCKS):
        name, y = f'_blocks.{i}', x
        if expansion > 1:
            y = conv_bn(y, f'{name}._expand_conv', f'{name}._bn0')
        y = conv_bn(y, f'{name}._depthwise_conv', f'{name}._bn1', kernel, stride)
        y = conv_bn(y, f'{name}._project_conv', f'{name}._bn2', act=False)
        x = x + y if x.shape == y.shape else y
        maps.append(x)
    return [maps[i] for i in (2, 4, 10, 15)]


def test_features_are_those_of_the_published_network():
    model = randomize_norms(EfficientNetLite()).double().eval()
    x = torch.randn(1, 3, 32, 64, dtype=torch.float64)
    weights = published_weights(model)
    with torch.no_grad():
        outs, wanted = model(x), reference_maps(weights, x)
    for out, want in zip(outs, wanted):
        np.testing.assert_allclose(out, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('number', [0, 1, 2])
def test_features_are_those_of_the_reference_package(number):
    package = pytest.importorskip('efficientnet_lite_pytorch')
    reference = package.EfficientNet.from_name(f'efficientnet-lite{number}')
    reference = randomize_norms(reference.double().eval())
    for module in reference.modules():  # its static padding is that of another image
        if hasattr(module, 'static_padding'):
            module.static_padding = torch.nn.Identity()
            kernel, stride = module.kernel_size[0], module.stride[0]
            module.register_forward_pre_hook(
                lambda _m, args, k=kernel, s=stride: same_padding(args[0], k, s)
            )
    model = EfficientNetLite(f'lite{number}', out_indices=[3]).double().eval()
    model.load_state_dict(reference.state_dict())
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        parts = dict(reference.named_children())
        want = parts['_swish'](parts['_bn0'](parts['_conv_stem'](x)))
        for block in parts['_blocks']:
            want = block(want)
        np.testing.assert_allclose(model(x)[0], want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('arch', list(CHANNELS))
def test_parameters_and_maps_are_the_published_ones(arch):
    model = EfficientNetLite(arch).eval()
    features = CHANNELS[arch][-1]
    classifier = features * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in model.parameters()) + classifier == PUBLISHED[arch]
    outs = model(torch.randn(1, 3, 64, 96))
    assert [tuple(o.shape[1:]) for o in outs] == [
        (c, 64 // s, 96 // s) for c, s in zip(CHANNELS[arch], (4, 8, 16, 32))
    ]


@pytest.mark.parametrize('kernel', [3, 5])
@pytest.mark.parametrize('height, width', [(8, 6), (7, 6), (8, 9), (1, 3)])
def test_an_odd_side_is_padded_as_one_of_an_even_number(kernel, height, width):
    conv = DownsamplingConv2d(2, 3, kernel).double()
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    even = F.pad(x, (0, width % 2, 0, height % 2))
    want = F.conv2d(same_padding(even, kernel, 2), conv.weight, stride=2)
    assert want.shape[2:] == ((height + 1) // 2, (width + 1) // 2)
    torch.testing.assert_close(conv(x), want)


def test_onnx_graph_of_dynamic_size(tmp_path):
    ort = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    model = randomize_norms(EfficientNetLite(out_indices=[0, 1])).eval()
    path = str(tmp_path / 'backbone.onnx')
    dims = {2: torch.export.Dim('height', min=33), 3: torch.export.Dim('width', min=33)}
    torch.onnx.export(
        model, (torch.randn(1, 3, 64, 96),), path, dynamo=True, dynamic_shapes=(dims,),
        opset_version=18, verbose=False,
    )  # fmt: skip
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    for size in ((64, 64), (75, 101)):
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            wanted = model(x)
        outs = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for out, want in zip(outs, wanted):
            np.testing.assert_allclose(out, want, rtol=1e-3, atol=1e-3 * want.abs().max().item())


def test_published_weights_are_taken_whole(tmp_path):
    source, target = randomize_norms(EfficientNetLite()), EfficientNetLite()
    path = str(tmp_path / 'published.pth')
    torch.save(published_weights(source), path)
    load_checkpoint(target, path, strict=False)
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key
    # Fewer maps need fewer blocks.
    short = EfficientNetLite(out_indices=[0, 1], init_cfg=dict(type='Pretrained', checkpoint=path))
    short.init_weights()
    assert torch.equal(
        short.blocks[4].linear_conv.bn.weight, source.blocks[4].linear_conv.bn.weight
    )
    # So are weights by the names here.
    torch.save(dict(state_dict=source.state_dict()), path)
    own = EfficientNetLite(init_cfg=dict(type='Pretrained', checkpoint=path))
    own.init_weights()
    assert torch.equal(own.blocks[15].linear_conv.bn.bias, source.blocks[15].linear_conv.bn.bias)
    # Names of a segmentor, of which mmengine writes checkpoints, stay what they are.
    torch.nn.ModuleDict({'backbone': target}).load_state_dict(
        {f'backbone.{k}': v for k, v in source.state_dict().items()}
    )
    nested = torch.nn.ModuleDict({'backbone': EfficientNetLite()})
    nested.load_state_dict({f'backbone.{k}': v for k, v in published_weights(source).items()})
    assert torch.equal(nested.backbone.stem.conv.weight, source.stem.conv.weight)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda w: published_weights(EfficientNetLite('lite1')), r'shape \(blocks\.3\.depth'),
        (lambda w: w.pop('_blocks.3._bn1.bias'), r'1 of \d+ tensors are missing \(blocks.3.depth'),
        (lambda w: w.update({'_blocks.0._se.weight': torch.ones(1)}), r'1 .* unknown \(_blocks.0'),
        (
            lambda w: w.update({'_conv_stem.weight': torch.ones(32, 3, 5, 5)}),
            r'1 of \d+ tensors are of another shape \(stem.conv.weight: \(32, 3, 5, 5\)',
        ),
        (lambda w: {'layer1.weight': torch.ones(1)}, r'1 .* unknown \(layer1.weight'),
    ],
)
def test_weights_that_do_not_fit_are_an_error(change, message, tmp_path):
    weights = published_weights(EfficientNetLite())
    other = change(weights)
    weights = other if isinstance(other, dict) else weights
    path = str(tmp_path / 'published.pth')
    torch.save(weights, path)
    model = EfficientNetLite(init_cfg=dict(type='Pretrained', checkpoint=path))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    calls = [model.init_weights]
    if '_conv_stem.weight' in weights:  # these are never loaded in part
        calls.append(lambda: model.load_state_dict(weights, strict=False))
    for call in calls:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert 'does not fit EfficientNetLite lite0: ' in str(error.value)
        assert '\n' not in str(error.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_frozen_and_evaluated_normalization():
    model = EfficientNetLite(frozen_stages=1).train()
    frozen = {
        n.split('.')[0] + n.split('.')[1]
        for n, p in model.named_parameters()
        if not p.requires_grad
    }
    assert frozen == {'stemconv', 'stembn', 'blocks0', 'blocks1', 'blocks2'}
    assert not model.blocks[2].linear_conv.bn.training and model.blocks[3].linear_conv.bn.training
    model = EfficientNetLite(norm_eval=True).train()
    assert not any(m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}
    model = EfficientNetLite(norm_cfg=dict(type='SyncBN', momentum=0.1))
    assert {
        (m.eps, m.momentum) for m in model.modules() if isinstance(m, torch.nn.SyncBatchNorm)
    } == {(1e-3, 0.1)}
    EfficientNetLite(norm_cfg=dict(type='GN', num_groups=8))


@pytest.mark.parametrize(
    'arguments',
    [dict(arch='lite9'), dict(out_indices=(0, 4)), dict(out_indices=()), dict(frozen_stages=5)],
)
def test_bad_arguments_are_named(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError) as error:
        EfficientNetLite(**arguments)
    assert f'{name}={value!r}' in str(error.value)
