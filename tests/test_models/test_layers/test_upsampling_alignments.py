"""DySample, CARAFE and SAPA against loops over pixels in float64, written from their papers."""

import numpy as np
import pytest
import torch
from helpers import segmentation_samples
from mmseg.registry import MODELS

from sfnet_mm.models import (
    AlignedFPN,
    CARAFEAlignment,
    DySampleAlignment,
    SAPAAlignment,
    SFNetHead,
    SFNetLiteHead,
)

# fine, coarse: two multiples, none, one of 8, one coarse pixel, one fine side that is the shorter
SIZES = [
    ((6, 10), (3, 5)),
    ((7, 9), (4, 5)),
    ((23, 30), (3, 4)),
    ((16, 24), (2, 3)),
    ((3, 4), (1, 1)),
    ((5, 2), (3, 4)),
]
ALIGNS = ['DySampleAlignment', 'CARAFEAlignment', 'SAPAAlignment']


def pair(fine, coarse, channels=8, n=2, dtype=torch.float64):
    return torch.randn(n, channels, *fine, dtype=dtype), torch.randn(
        n, channels, *coarse, dtype=dtype
    )


def build(kind, scale=0.5, dtype=torch.float64, **kwargs):
    """A module whose weights are large enough that kernels and offsets are far from their start."""
    module = MODELS.build(dict(type=f'mmseg.{kind}', channels=8, **kwargs)).to(dtype)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return module


def array(x):
    return x.detach().double().numpy()


def bilinear(image, y, x):
    """Value of (H, W) at a point in pixels (centers at whole numbers), moved to the border."""
    height, width = image.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    i, j = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    below, right = min(i + 1, height - 1), min(j + 1, width - 1)
    dy, dx = y - i, x - j
    top = (1 - dx) * image[i, j] + dx * image[i, right]
    bottom = (1 - dx) * image[below, j] + dx * image[below, right]
    return (1 - dy) * top + dy * bottom


def resized(image, size):
    """(h, w) as (H, W), sampled at the centers of its pixels as areas."""
    ratio = [a / b for a, b in zip(image.shape, size)]
    return np.array(
        [
            [
                bilinear(image, (i + 0.5) * ratio[0] - 0.5, (j + 0.5) * ratio[1] - 0.5)
                for j in range(size[1])
            ]
            for i in range(size[0])
        ]
    )


def shuffled(x, s):
    """Pixel shuffle: (C * s * s, h, w) to (C, s * h, s * w)."""
    out = np.zeros((x.shape[0] // s**2, x.shape[1] * s, x.shape[2] * s))
    for c, i, j in np.ndindex(out.shape):
        out[c, i, j] = x[c * s * s + i % s * s + j % s, i // s, j // s]
    return out


def convolved(x, conv):
    """A convolution of stride 1 that keeps the size, as a loop over pixels."""
    weight, bias = array(conv.weight), array(conv.bias)
    r = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (r, r), (r, r)))
    out = np.zeros((len(weight), *x.shape[1:]))
    for i, j in np.ndindex(x.shape[1:]):
        window = padded[:, i : i + 2 * r + 1, j : j + 2 * r + 1]
        out[:, i, j] = np.tensordot(weight, window, 3) + bias
    return out


def softmax(x):
    x = np.exp(x - x.max())
    return x / x.sum()


def neighbors(x, size, i, j, k):
    """Values (k * k, C) around the coarse pixel that the center of fine pixel (i, j) lies in."""
    height, width = x.shape[1:]
    y, z = int((i + 0.5) * height / size[0]), int((j + 0.5) * width / size[1])
    return np.array(
        [
            x[:, a, b] if 0 <= a < height and 0 <= b < width else np.zeros(len(x))
            for a in range(y - k // 2, y + k // 2 + 1)
            for b in range(z - k // 2, z + k // 2 + 1)
        ]
    )


def dysample(module, low, high):
    s, g = module.scale_factor, module.groups
    raw = convolved(high, module.offset)
    if module.scope is None:
        raw = raw * 0.25
    else:
        raw = raw * 0.5 / (1 + np.exp(-convolved(high, module.scope)))
    size, (height, width) = low.shape[1:], high.shape[1:]
    offsets = np.array([resized(x, size) for x in shuffled(raw, s)]).reshape(2, g, *size)
    out = np.zeros(low.shape)
    for c, i, j in np.ndindex(out.shape):
        dx, dy = offsets[:, c // (len(low) // g), i, j]
        # centers of pixels lie at + 1/2
        x = (j + 0.5) * width / size[1] + dx
        y = (i + 0.5) * height / size[0] + dy
        out[c, i, j] = bilinear(high[c], y - 0.5, x - 0.5)
    return out


def carafe(module, low, high):
    k = 5
    logits = convolved(convolved(high, module.channel_compressor), module.content_encoder)
    size = low.shape[1:]
    logits = np.array([resized(x, size) for x in shuffled(logits, module.scale_factor)])
    out = np.zeros(low.shape)
    for i, j in np.ndindex(size):
        out[:, i, j] = softmax(logits[:, i, j]) @ neighbors(high, size, i, j, k)
    return out


def sapa(module, low, high):
    def embed(x, norm, linear):
        centered = x - x.mean(0)
        x = centered / np.sqrt((centered**2).mean(0) + 1e-5)
        x = x * array(norm.weight)[:, None, None] + array(norm.bias)[:, None, None]
        return np.tensordot(array(linear.weight), x, 1) + array(linear.bias)[:, None, None]

    query = embed(low, module.norm_fine, module.query)
    key = embed(high, module.norm_coarse, module.key)
    size = low.shape[1:]
    out = np.zeros(low.shape)
    for i, j in np.ndindex(size):
        similarity = neighbors(key, size, i, j, 5) @ query[:, i, j]
        out[:, i, j] = softmax(similarity) @ neighbors(high, size, i, j, 5)
    return out


LOOPS = dict(DySampleAlignment=dysample, CARAFEAlignment=carafe, SAPAAlignment=sapa)
VARIANTS = [
    ('DySampleAlignment', dict(scale_factor=2)),
    ('DySampleAlignment', dict(scale_factor=8, groups=2, dynamic_scope=True)),
    ('CARAFEAlignment', dict(scale_factor=2, compressed_channels=6)),
    ('CARAFEAlignment', dict(scale_factor=8, compressed_channels=6)),
    ('SAPAAlignment', {}),
]


@pytest.mark.parametrize('fine, coarse', SIZES)
@pytest.mark.parametrize('kind, kwargs', VARIANTS)
@torch.no_grad()
def test_equals_a_loop_over_pixels(kind, kwargs, fine, coarse):
    module = build(kind, **kwargs)
    low, high = pair(fine, coarse)
    out = module(low, high)
    assert out.shape == low.shape
    for n in range(2):
        expected = LOOPS[kind](module, array(low[n]), array(high[n]))
        np.testing.assert_allclose(array(out[n]), expected, atol=1e-9)


@torch.no_grad()
def test_dysample_at_a_whole_ratio_is_the_formula_of_the_paper():
    """Sub-pixel (i, j) of coarse pixel (p, q) has offsets in channels (coordinate, group, i, j)."""
    s, g = 3, 2
    module = build('DySampleAlignment', scale_factor=s, groups=g)
    low, high = pair((6, 9), (2, 3), n=1)
    out, raw = module(low, high)[0].numpy(), convolved(high[0].numpy(), module.offset)
    raw = 0.25 * raw.reshape(2, g, s, s, 2, 3)
    for group, i, j, p, q in np.ndindex(g, s, s, 2, 3):
        x = q + (j - (s - 1) / 2) / s + raw[0, group, i, j, p, q]
        y = p + (i - (s - 1) / 2) / s + raw[1, group, i, j, p, q]
        for c in range(4 * group, 4 * group + 4):
            expected = bilinear(high[0, c].numpy(), y, x)
            assert abs(out[c, p * s + i, q * s + j] - expected) < 1e-12


@torch.no_grad()
def test_published_defaults():
    dy, carafe, sapa = DySampleAlignment(64), CARAFEAlignment(32), SAPAAlignment(64)
    assert dy.groups == 4 and dy.scope is None and dy.offset.weight.shape == (32, 64, 1, 1)
    assert dy.offset.weight.std() < 0.002 and not dy.offset.bias.any()
    assert DySampleAlignment(64, dynamic_scope=True).scope.weight.abs().max() == 0
    assert carafe.channel_compressor.weight.shape == (64, 32, 1, 1)
    assert carafe.content_encoder.weight.shape == (100, 64, 3, 3)
    assert sapa.query.weight.shape == sapa.key.weight.shape == (32, 64)
    # At the start DySample is bilinear upsampling, but for offsets of hundredths of a pixel.
    low, high = pair((12, 20), (6, 10), 64, dtype=torch.float32)
    expected = torch.nn.functional.interpolate(high, (12, 20), mode='bilinear')
    assert (dy(low, high) - expected).abs().max() < 0.1
    torch.nn.init.zeros_(dy.offset.weight)
    torch.testing.assert_close(dy(low, high), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', ALIGNS)
def test_gradients_are_those_of_finite_differences(kind):
    module = build(kind, 0.3)
    low, high = pair((5, 7), (3, 4), n=1)
    low.requires_grad_(kind == 'SAPAAlignment')
    assert torch.autograd.gradcheck(module, (low, high.requires_grad_()), atol=1e-6)
    module(low, high).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize('kind', ALIGNS)
def test_channels_last_changes_nothing(kind):
    module = build(kind, dtype=torch.float32)
    low, high = pair((7, 9), (4, 5), dtype=torch.float32)
    last = module(*(x.to(memory_format=torch.channels_last) for x in (low, high)))
    torch.testing.assert_close(last, module(low, high), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('kind', ALIGNS)
def test_training_keeps_no_copy_of_the_window(kind):
    """What autograd keeps of the fine grid is a few maps, not one for each of 25 neighbors."""
    module = MODELS.build(dict(type=f'mmseg.{kind}', channels=64))
    low, high = pair((32, 48), (16, 24), 64, n=1, dtype=torch.float32)
    kept = {}

    def pack(x):
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        module(low, high.requires_grad_())
    assert sum(kept.values()) < 6 * low.nbytes


HEADS = dict(
    sfnet=dict(type='SFNetHead', in_channels=[4, 6, 8, 10]),
    lite=dict(type='SFNetLiteHead', in_channels=[4, 8, 10]),
)
MAPS = [(4, 17, 25), (6, 9, 13), (8, 5, 7), (10, 3, 4)]


def head(name, kind):
    align = dict(type=kind)
    if name == 'lite' and kind != 'SAPAAlignment':
        align['scale_factor'] = 8
    return MODELS.build(dict(HEADS[name], channels=8, num_classes=5, align=align))


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('kind', ALIGNS)
def test_head_trains_in_bfloat16(name, kind):
    module = head(name, kind)
    for key, parameter in module.named_parameters():
        if 'align' in key and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    inputs = [torch.randn(2, *size) for size in MAPS]
    with torch.no_grad():
        expected = module.eval()(inputs)
        with torch.autocast('cpu', torch.bfloat16):
            logits = module([x.bfloat16() for x in inputs])
    assert (logits.float() - expected).abs().max() < 0.08 * expected.abs().max()
    with torch.autocast('cpu', torch.bfloat16):
        losses = module.train().loss(inputs, segmentation_samples(2, 65, 97, 5), {})
    losses['loss_ce'].backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


@pytest.mark.slow
@pytest.mark.parametrize('kind', ALIGNS)
def test_compiles_as_one_graph(kind):
    """``fullgraph`` raises at any graph break; no C++ compiler is needed for these backends.

    The first traces the gradients, too. The other one sees two sizes, so that they become symbols.
    """
    module = build(kind, 0.3, torch.float32)
    graphs = {
        backend: torch.compile(module, fullgraph=True, backend=backend)
        for backend in ('aot_eager', 'eager')
    }
    for backend, size in (('aot_eager', (6, 10)), ('eager', (6, 10)), ('eager', (7, 9))):
        compiled = graphs[backend]
        low, high = pair(size, (4, 5), dtype=torch.float32)
        results = []
        for function in (module, compiled):
            module.zero_grad()
            out = function(low, high)
            out.square().sum().backward()
            results.append((out, *(p.grad.clone() for p in module.parameters())))
        torch.testing.assert_close(*results, atol=1e-4, rtol=1e-3)
    torch.compiler.reset()


def test_carafe_agrees_with_mmcv():
    pytest.importorskip('mmcv._ext', reason='needs the compiled mmcv')
    from mmcv.ops.carafe import CARAFEPack

    module = build('CARAFEAlignment', dtype=torch.float32)
    reference = CARAFEPack(8, 2)
    reference.load_state_dict(module.state_dict())
    low, high = pair((6, 10), (3, 5), dtype=torch.float32)
    try:
        expected = reference(high)
    except (NotImplementedError, RuntimeError) as e:
        pytest.skip(f'mmcv has CARAFE on CUDA only: {e}')
    torch.testing.assert_close(module(low, high), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'owner, make',
    [
        ('SFNetHead', lambda a: SFNetHead([4, 6], 8, num_classes=3, align=a)),
        ('SFNetLiteHead', lambda a: SFNetLiteHead([4, 6, 8], 8, num_classes=3, align=a)),
        ('AlignedFPN', lambda a: AlignedFPN([4, 6], 8, align=a)),
    ],
)
@pytest.mark.parametrize(
    'align, named',
    [
        (dict(type='DySample'), "'DySample'"),
        (dict(type='FCNHead'), "'FCNHead'"),
        (dict(groups=4), 'None'),
        ('CARAFEAlignment', "'CARAFEAlignment'"),
    ],
)
def test_unknown_alignment_names_the_choices_in_one_line(owner, make, align, named):
    with pytest.raises(ValueError) as error:
        make(align)
    message = str(error.value)
    assert '\n' not in message and f'align={named} ' in message
    for choice in (*ALIGNS, 'FlowAlignmentModule', 'GatedDualFlowAlignmentModule', 'None'):
        assert choice in message
    assert ('AlignedFPN' if owner == 'SFNetHead' else owner) in message


@pytest.mark.parametrize(
    'make, named',
    [
        (lambda: DySampleAlignment(6), 'groups=4'),
        (lambda: DySampleAlignment(8, scale_factor=0), 'scale_factor=0'),
        (lambda: CARAFEAlignment(8, kernel_size=4), 'kernel_size=4'),
        (lambda: CARAFEAlignment(8, encoder_kernel=2), 'encoder_kernel=2'),
        (lambda: CARAFEAlignment(8, compressed_channels=0), 'compressed_channels=0'),
        (lambda: SAPAAlignment(8, kernel_size=0), 'kernel_size=0'),
        (lambda: SAPAAlignment(8, embed_channels=0), 'embed_channels=0'),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
