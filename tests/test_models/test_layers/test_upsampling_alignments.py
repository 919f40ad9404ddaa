"""Today's upsamplers against loops over pixels in float64, written from their papers."""

import numpy as np
import pytest
import torch
from alignment_loops import ALIGNS, LOOPS, SIZES, array, bilinear, build, convolved, pair
from helpers import odd_maps, segmentation_samples
from mmseg.registry import MODELS

from sfnet_mm.models import (
    AlignedFPN,
    CARAFEAlignment,
    DySampleAlignment,
    FreqFusionAlignment,
    SAPAAlignment,
    SFNetHead,
    SFNetLiteHead,
)

VARIANTS = [
    ('DySampleAlignment', dict(scale_factor=2)),
    ('DySampleAlignment', dict(scale_factor=8, groups=2, dynamic_scope=True)),
    ('CARAFEAlignment', dict(scale_factor=2, compressed_channels=6)),
    ('CARAFEAlignment', dict(scale_factor=8, compressed_channels=6)),
    ('SAPAAlignment', {}),
    ('FreqFusionAlignment', dict(compressed_channels=8, groups=2)),
    ('FreqFusionAlignment', dict(compressed_channels=16, groups=0, lowpass_kernel=3)),
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
    freqfusion = FreqFusionAlignment(64)
    assert freqfusion.lowpass.conv.weight.shape == (25, 64, 3, 3)
    assert freqfusion.highpass.conv.weight.shape == (9, 64, 3, 3)
    assert freqfusion.offsets.offset_coarse.weight.shape == (32, 72, 3, 3)
    assert freqfusion.offsets.scope_fine.weight.shape == (8, 72, 3, 3)
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
    low.requires_grad_(kind in ('SAPAAlignment', 'FreqFusionAlignment'))
    assert torch.autograd.gradcheck(module, (low, high.requires_grad_()), atol=1e-6)
    module(low, high).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize('kind', ALIGNS)
def test_channels_last_changes_nothing(kind):
    module = build(kind)
    low, high = pair((7, 9), (4, 5))
    last = module(*(x.to(memory_format=torch.channels_last) for x in (low, high)))
    torch.testing.assert_close(last, module(low, high), atol=1e-9, rtol=1e-9)


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
    # FreqFusion filters three maps and predicts from as many.
    assert sum(kept.values()) < (20 if kind == 'FreqFusionAlignment' else 6) * low.nbytes


HEADS = dict(
    sfnet=dict(type='SFNetHead', in_channels=[4, 6, 8, 10], deep_supervision=True),
    lite=dict(type='SFNetLiteHead', in_channels=[4, 8, 10]),
)


def head(name, kind):
    align = dict(type=kind)
    if name == 'lite' and kind in ('DySampleAlignment', 'CARAFEAlignment'):
        align['scale_factor'] = 8
    loss = dict(type='HardPixelCrossEntropy', min_kept=50)
    common = dict(channels=8, num_classes=5, align=align, loss_decode=loss)
    return MODELS.build(dict(HEADS[name], **common))


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('kind', [*ALIGNS, 'FlowAlignmentModule', 'GatedDualFlowAlignmentModule'])
def test_head_trains_in_bfloat16(name, kind):
    module = head(name, kind)
    # FreqFusion has filters of filters, of up to 648 inputs; rounding would grow too much.
    std = 0.1 if kind == 'FreqFusionAlignment' else 0.3
    for key, parameter in module.named_parameters():
        if 'align' in key and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=std)
    inputs = odd_maps(2)
    with torch.no_grad():
        expected = module.eval()(inputs)
        with torch.autocast('cpu', torch.bfloat16):
            logits = module([x.bfloat16() for x in inputs])
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - expected).abs().max() < 0.08 * expected.abs().max()
    with torch.autocast('cpu', torch.bfloat16):
        losses = module.train().loss(inputs, segmentation_samples(2, 65, 97, 5), {})
    sum(v for k, v in losses.items() if 'loss' in k).backward()
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
        (lambda: FreqFusionAlignment(8, highpass_kernel=2), 'highpass_kernel=2'),
        (lambda: FreqFusionAlignment(8, compressed_channels=12), 'compressed_channels=12'),
        (lambda: FreqFusionAlignment(8, groups=3), 'groups=3'),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
