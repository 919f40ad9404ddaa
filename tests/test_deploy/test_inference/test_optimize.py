import contextlib
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import build_segmentor, load_config, randomize_norms
from mmcv.cnn import ConvModule
from torch import nn

from sfnet_mm.benchmark.authors_composition import to_authors_composition
from sfnet_mm.deploy import optimize
from sfnet_mm.deploy.inference.folding import fold_batchnorm
from sfnet_mm.deploy.inference.upsampled_argmax import upsampled_argmax
from sfnet_mm.models.layers import GatedDualFlowAlignmentModule, PyramidContext
from sfnet_mm.models.layers.gated_dual_flow_alignment import InferenceGDFAM
from sfnet_mm.models.layers.pyramid_context import InferenceContext, pool_to_cells
from sfnet_mm.models.layers.rearranged_convs import RowConv2d, TapConv2d
from sfnet_mm.models.layers.upsampling import resize
from sfnet_mm.ops.exporting import exporting_for

SIZE = (96, 160)


def trained(module):
    """Fill batch statistics and flow weights with what training could have left there."""
    for m in randomize_norms(module).modules():
        if hasattr(m, 'flow_make'):
            # flows of some pixels, not of hundredths
            m.flow_make.weight.data *= 20
        elif hasattr(m, 'fuses'):
            for parameter in m.parameters():
                nn.init.normal_(parameter, std=0.1)
    return module.eval()


def segmentor(name, **head):
    cfg = load_config(f'configs/{name}.py')
    cfg.model.decode_head.update(head)
    return trained(build_segmentor(cfg))


def full_logits(model, image):
    return F.interpolate(model(image), image.shape[2:], mode='bilinear', align_corners=True)


MODELS = [
    ('sfnet_lite_stdc1_cityscapes', {}),
    ('sfnet_lite_stdc1_cityscapes', dict(align=None)),
    ('sfnet_lite_stdc1_cityscapes', dict(fusion='paper')),
    ('sfnet_lite_stdc1_cityscapes', dict(align=dict(type='FlowAlignmentModule'))),
    (
        'sfnet_lite_stdc1_cityscapes',
        dict(align=dict(type='GatedDualFlowAlignmentModule', gate='conv')),
    ),
    ('sfnet_lite_stdc1_cityscapes', dict(align=dict(type='DySampleAlignment', scale_factor=8))),
    ('sfnet_lite_stdc1_cityscapes', dict(align=dict(type='CARAFEAlignment', scale_factor=8))),
    ('sfnet_lite_stdc1_cityscapes', dict(align=dict(type='SAPAAlignment'))),
    ('sfnet_stdc1_cityscapes', dict(align=dict(type='DySampleAlignment'), align_fusion=True)),
    ('sfnet_stdc1_cityscapes', dict(align=dict(type='FreqFusionAlignment', compressed_channels=8))),
    ('sfnet_stdc1_cityscapes', {}),
    ('sfnet_stdc1_cityscapes', dict(align_fusion=True, deep_supervision=True)),
    ('sfnet_stdc1_cityscapes', dict(context=dict(type='PyramidContext', mode='sppm'))),
    ('sfnet_stdc1_cityscapes', dict(align=dict(type='FlowAlignmentModule', kernel_size=5))),
    pytest.param('sfnet_df1_cityscapes', {}, marks=pytest.mark.slow),
    pytest.param('sfnet_r18_cityscapes', {}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize('name, head', MODELS)
@pytest.mark.parametrize('rearrange', [False, True])
def test_logits_stay_the_same(name, head, rearrange):
    model = segmentor(name, **head)
    # sides that 32 does not divide
    image = torch.randn(1, 3, 101, 165)
    with torch.no_grad():
        expected = full_logits(model, image)
        form = optimize(model, rearrange, verbose=False)
        got = form(image)
    scale = expected.abs().max().clamp(min=1)
    assert (got - expected).abs().max() / scale < 1e-4
    assert not any(isinstance(m, nn.BatchNorm2d) for m in form.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def test_nothing_that_only_training_needs_is_left():
    model = segmentor('sfnet_stdc1_cityscapes', deep_supervision=True)
    form = optimize(model, verbose=False)
    assert not any('dsn' in name or 'loss' in name for name, _ in form.named_modules())
    assert hasattr(model.decode_head, 'dsn')


def test_model_in_training_mode_is_refused():
    model = segmentor('sfnet_lite_stdc1_cityscapes').train()
    with pytest.raises(ValueError, match='training mode'):
        optimize(model)
    with pytest.raises(ValueError, match='training mode'):
        fold_batchnorm(model, torch.zeros(1, 3, 64, 64))


def test_what_cannot_be_folded_is_left_and_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = ConvModule(3, 4, 3, norm_cfg=dict(type='BN'))
            self.before = ConvModule(
                4, 4, 1, norm_cfg=dict(type='BN'), order=('norm', 'act', 'conv')
            )
            self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
            self.twice, self.shared = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
            self.standardized = ConvModule(
                4, 4, 3, conv_cfg=dict(type='ConvWS'), norm_cfg=dict(type='BN')
            )
            self.grouped = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, groups=2), nn.BatchNorm2d(4))

        def forward(self, x):
            x = self.grouped(self.standardized(self.before(self.plain(x))))
            y = self.conv(x)
            x = self.norm(y) + nn.functional.relu(y)
            return self.shared(self.twice(self.shared(self.twice(x))))

    net = trained(Net())
    image = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        expected = net(image)
        folding = fold_batchnorm(net, image)
        got = net(image)
    assert folding.folded == ['plain.bn']
    # run before their convolution, beside another reader of its output, and twice; after
    # convolutions that standardize their weight or share it among groups
    assert set(folding.left) == {'before.bn', 'norm', 'shared', 'standardized.bn', 'grouped.1'}
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def form_of(name):
    return contextlib.nullcontext() if name == 'eager' else exporting_for(name)


@pytest.mark.parametrize('kernel', [1, 3, 5])
@pytest.mark.parametrize('form', ['eager', 'onnxruntime'])
@pytest.mark.parametrize('size', [(4, 6), (9, 13), (16, 25)])
@pytest.mark.parametrize('channels', [5, 16])
def test_tap_convolution_is_upsampling_then_convolution(channels, size, kernel, form):
    conv = nn.Conv2d(6, channels, kernel, padding=kernel // 2, bias=False).double()
    x = torch.randn(2, 6, 4, 6, dtype=torch.float64)
    expected = conv(resize(x, size))
    with form_of(form):
        got = TapConv2d(conv.weight.detach(), conv)(x, size)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('kernel', [1, 3, 5])
@pytest.mark.parametrize('form', ['eager', 'onnxruntime'])
@pytest.mark.parametrize('size', [(1, 6), (2, 3), (9, 13)])
def test_row_convolution_is_the_convolution(kernel, size, form):
    conv = nn.Conv2d(6, 5, kernel, padding=kernel // 2, bias=False).double()
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    with form_of(form):
        got = RowConv2d(conv.weight.detach(), conv)(x)
    torch.testing.assert_close(got, conv(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('mode', ['ppm', 'sppm', 'none'])
def test_context_projects_before_upsampling(mode):
    context = trained(PyramidContext(12, 8, mode=mode))
    x = torch.randn(1, 12, 5, 9)
    with torch.no_grad():
        expected = context(x)
        fold_batchnorm(context, x)
        torch.testing.assert_close(InferenceContext(context)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('scale', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(6, 12), (5, 7), (32, 64), (4, 8)])
def test_exported_pooling_has_the_cells_of_adaptive_pooling(scale, size):
    x = torch.randn(2, 3, *size)
    expected = F.adaptive_avg_pool2d(x, scale)
    with form_of('onnxruntime'):
        torch.testing.assert_close(pool_to_cells(x, scale), expected)


@pytest.mark.parametrize('form', ['eager', 'openvino'])
@pytest.mark.parametrize('size', [(64, 128), (33, 50), (7, 200), (1, 1)])
def test_argmax_is_that_of_the_upsampled_logits(size, form):
    # Multiples of a quarter interpolate without rounding often enough to make ties.
    logits = torch.randint(-8, 8, (2, 5, 8, 16)).float() / 4
    full = F.interpolate(logits.double(), size, mode='bilinear', align_corners=True)
    with form_of(form):
        chosen = full.gather(1, upsampled_argmax(logits, size)[:, None])[:, 0]
    assert (full.amax(1) - chosen).max() < 1e-5


@pytest.mark.parametrize('form', ['eager', 'openvino'])
def test_first_of_equal_logits_wins(form):
    logits = torch.zeros(1, 4, 2, 3)
    with form_of(form):
        assert not upsampled_argmax(logits, (40, 60)).any()
        logits[:, 2:] = 1
        assert (upsampled_argmax(logits, (40, 60)) == 2).all()
        logits[:] = float('nan')  # whatever is chosen has to be a class
        assert (upsampled_argmax(logits, (40, 60)) < 4).all()


def test_output_forms_agree():
    model = segmentor('sfnet_lite_stdc1_cityscapes')
    image = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        logits = optimize(model, verbose=False)(image)
        mask = optimize(model, output='argmax', verbose=False)(image)
        stride = optimize(model, output_size='stride', verbose=False)(image)
    assert mask.shape == (2, *SIZE) and mask.dtype == torch.long
    assert (logits.argmax(1) == mask).float().mean() > 0.999
    assert stride.shape == (2, 19, SIZE[0] // 4, SIZE[1] // 4)
    with pytest.raises(ValueError, match='probabilities'):
        optimize(model, output='probabilities')


def test_composition_of_the_authors_computes_the_same():
    model = segmentor('sfnet_lite_stdc1_cityscapes')
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        expected = model(image)
        got = to_authors_composition(model)(image)
    assert type(model.decode_head.flow_align_module).__name__ == 'AuthorsGDFAM'
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.abs().max())


@pytest.mark.parametrize('kernels', [(3, 3), (3, 1), (1, 5)])
@pytest.mark.parametrize('gate', ['attention', None])
def test_gate_of_gd_fam_survives_the_folding_of_its_means(kernels, gate):
    kernel_size, gate_kernel_size = kernels
    module = GatedDualFlowAlignmentModule(
        12, gate=gate, kernel_size=kernel_size, gate_kernel_size=gate_kernel_size
    ).double()
    module.flow_make.weight.data *= 20
    low = torch.randn(2, 12, 9, 14, dtype=torch.float64)
    high = torch.randn(2, 12, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        expected, got = module(low, high), InferenceGDFAM(module)(low, high)
    assert torch.allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_model_of_another_precision_keeps_it(dtype):
    model = segmentor('sfnet_lite_stdc1_cityscapes')
    image = torch.randn(1, 3, *SIZE)
    expected = full_logits(optimize(model, True, verbose=False).double(), image.double())
    expected = expected.argmax(1)
    form = optimize(model.to(dtype), True, output='argmax', verbose=False)
    assert {(p.dtype, p.requires_grad) for p in form.parameters()} == {(dtype, False)}
    assert any('rearranged' in line and 'not' not in line for line in form.report)
    agreement = (form(image.to(dtype)) == expected).float().mean()
    assert agreement > (0.9999 if dtype == torch.float64 else 0.9)


def test_classes_under_autocast_are_those_of_its_logits():
    form = optimize(segmentor('sfnet_lite_stdc1_cityscapes'), output_size='stride', verbose=False)
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        logits = form(image)
        form.output, form.output_size = 'argmax', 'full'
        got = form(image)
    expected = F.interpolate(logits.float(), SIZE, mode='bilinear', align_corners=True).argmax(1)
    assert logits.dtype == torch.bfloat16
    assert (got == expected).float().mean() > 0.9999


def test_the_form_can_be_saved():
    form = optimize(segmentor('sfnet_lite_stdc1_cityscapes'), verbose=False)
    image = torch.randn(1, 3, *SIZE)
    torch.save(form, io.BytesIO())
    # torch.save writes modules by this protocol.
    copied = pickle.loads(pickle.dumps(form, protocol=2))
    torch.testing.assert_close(copied(image), form(image), rtol=0, atol=0)
