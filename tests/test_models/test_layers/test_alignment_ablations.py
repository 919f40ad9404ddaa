"""What Tables 8, 9 and 16 put into the place of FAM or of its parts."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from sfnet_mm.models import (
    DeformableAlignmentModule,
    FlowAlignmentModule,
    GatedDualFlowAlignmentModule,
    SFNetLiteHead,
)
from sfnet_mm.models.layers.correlation import local_correlation
from sfnet_mm.models.layers.deformable_alignment import deform_conv


def pair(channels=8, size=(6, 10)):
    low = torch.randn(2, channels, *size)
    return low, torch.randn(2, channels, (size[0] + 1) // 2, (size[1] + 1) // 2)


def upsampled(module, low, high):
    """The coarse map as the module upsamples it before it predicts a flow."""
    found = []
    handle = module.upsample.register_forward_hook(lambda _module, _args, out: found.append(out))
    module(low, high)
    handle.remove()
    return found[0]


def test_upsampling_by_nearest_neighbor_and_bilinear():
    low, high = pair()
    module = FlowAlignmentModule(8, upsample='nearest')
    up = upsampled(module, low, high)
    assert torch.equal(up, module.down_h(high).repeat_interleave(2, 2).repeat_interleave(2, 3))
    up = upsampled(FlowAlignmentModule(8), low, torch.ones_like(high))
    assert up.std((2, 3)).max() < 1e-6
    assert not list(module.upsample.parameters())


@pytest.mark.parametrize('size', [(6, 10), (5, 9)])
def test_deconvolution_doubles_and_fits_odd_sizes(size):
    low, high = pair(8, size)
    module = FlowAlignmentModule(8, upsample='deconv')
    weight = module.upsample.deconv.weight
    assert weight.shape == (4, 4, 4, 4)
    # A transposed convolution is a convolution of the map with zeros between its pixels.
    x = module.down_h(high)
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2] + 1, 2 * x.shape[3] + 1)
    spread[..., 1:-1:2, 1:-1:2] = x
    expected = F.conv2d(F.pad(spread, (1, 1, 1, 1)), weight.transpose(0, 1).flip(2, 3))
    up = upsampled(module, low, high)
    torch.testing.assert_close(up, expected[..., : size[0], : size[1]], atol=1e-5, rtol=1e-4)
    assert module(low, high).shape == low.shape


def test_deconvolution_between_other_ratios_names_the_way_out():
    module = FlowAlignmentModule(8, upsample='deconv')
    with pytest.raises(ValueError, match="take 'bilinear'"):
        module(torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 2, 2))
    with pytest.raises(ValueError, match="upsample='cubic'"):
        FlowAlignmentModule(8, upsample='cubic')


def test_correlation_is_the_definition():
    x, y = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    out = local_correlation(x, y, 2)
    assert out.shape == (2, 25, 4, 5)
    for n, i, j in np.ndindex(2, 4, 5):
        for k, (dy, dx) in enumerate((a, b) for a in range(-2, 3) for b in range(-2, 3)):
            inside = 0 <= i + dy < 4 and 0 <= j + dx < 5
            expected = (x[n, :, i, j] * y[n, :, i + dy, j + dx]).sum() / 3 if inside else 0
            assert abs(out[n, k, i, j] - expected) < 1e-12


def test_correlation_replaces_only_the_input_of_the_flow_convolution():
    low, high = pair()
    plain, module = FlowAlignmentModule(8), FlowAlignmentModule(8, max_displacement=3)
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    assert shapes.pop('flow_make.weight') == (2, 49, 3, 3)
    assert shapes == {
        k: tuple(v.shape) for k, v in plain.state_dict().items() if k != 'flow_make.weight'
    }
    assert module(low, high).shape == low.shape
    with pytest.raises(ValueError, match='max_displacement=0'):
        FlowAlignmentModule(8, max_displacement=0)


def sample(image, y, x):
    """Bilinear value of (H, W) at a point, zero outside."""
    height, width = image.shape
    value = 0.0
    for i in (int(np.floor(y)), int(np.floor(y)) + 1):
        for j in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= i < height and 0 <= j < width:
                value += (1 - abs(y - i)) * (1 - abs(x - j)) * image[i, j]
    return value


@pytest.mark.parametrize('k', [1, 3])
def test_deformable_convolution_is_the_definition(k):
    height, width = size = (4, 5)
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    offset = 1.5 * torch.randn(1, 2 * k * k, *size, dtype=torch.float64)
    weight = torch.randn(3, 2, k, k, dtype=torch.float64)
    out = deform_conv(x, offset, weight)
    expected = np.zeros((3, height, width))
    for o, i, j in np.ndindex(3, height, width):
        for tap in range(k * k):
            y = i + tap // k - k // 2 + offset[0, 2 * tap, i, j].item()
            z = j + tap % k - k // 2 + offset[0, 2 * tap + 1, i, j].item()
            for c in range(2):
                expected[o, i, j] += weight[o, c, tap // k, tap % k] * sample(x[0, c].numpy(), y, z)
    np.testing.assert_allclose(out[0].numpy(), expected, atol=1e-10)


def test_deformable_alignment_begins_as_a_convolution():
    low, high = pair()
    module = DeformableAlignmentModule(8, backend='native')
    module.init_weights()
    up = F.interpolate(high, size=low.shape[2:], mode='bilinear', align_corners=True)
    expected = F.conv2d(up, module.weight, padding=1)
    torch.testing.assert_close(module(low, high), expected, atol=1e-4, rtol=1e-4)
    module(low, high).square().mean().backward()
    assert module.flow_make.weight.grad.abs().max() > 0


def test_deformable_alignment_errors():
    with pytest.raises(ValueError, match='deform_kernel_size=2'):
        DeformableAlignmentModule(8, deform_kernel_size=2)
    with pytest.raises(ValueError, match="backend='torch'"):
        DeformableAlignmentModule(8, backend='torch')
    with pytest.raises(ValueError, match='1x5'):
        deform_conv(torch.zeros(1, 2, 1, 5), torch.zeros(1, 2, 1, 5), torch.zeros(3, 2, 1, 1))
    if find_spec('mmcv._ext') is None:
        with pytest.raises(ModuleNotFoundError, match='make install-full'):
            DeformableAlignmentModule(8, backend='mmcv')


def test_deformable_alignment_agrees_with_mmcv():
    pytest.importorskip('mmcv._ext', reason='needs the compiled mmcv')
    low, high = pair()
    native, compiled = (DeformableAlignmentModule(8, backend=b) for b in ('native', 'mmcv'))
    torch.nn.init.normal_(native.weight)
    compiled.load_state_dict(native.state_dict())
    torch.testing.assert_close(native(low, high), compiled(low, high), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    'align',
    [dict(type='FlowAlignmentModule'), dict(type='DeformableAlignmentModule', backend='native')],
)
def test_lite_head_adds_the_fine_map_unless_the_module_fuses(align):
    maps = [torch.randn(2, c, *size) for c, size in zip((4, 6, 8), ((6, 10), (3, 5), (2, 3)))]

    def fused(head):
        """What goes into the last convolution, and the maps that it is made of."""
        found = {}
        head.eval().conv_last.register_forward_pre_hook(
            lambda _module, args: found.update(fused=args[0][:, :8])
        )
        for name, module in (('fine', head.fpn_in[0]), ('coarse', head.ppm)):
            module.register_forward_hook(lambda _m, _a, out, name=name: found.update({name: out}))
        head(maps)
        return found['fused'], found['fine'], found['coarse']

    options = dict(in_index=[0, 1, 2], num_classes=3)
    head = SFNetLiteHead([4, 6, 8], 8, align=dict(align, type='mmseg.' + align['type']), **options)
    head.init_weights()
    got, fine, coarse = fused(head)
    assert torch.equal(got, fine + head.flow_align_module(fine, coarse))
    head = SFNetLiteHead([4, 6, 8], 8, **options)
    assert isinstance(head.flow_align_module, GatedDualFlowAlignmentModule)
    got, fine, coarse = fused(head)
    assert torch.equal(got, head.flow_align_module(fine, coarse))


# Context modules


def context(kind, **kwargs):
    return MODELS.build(dict(type=f'mmseg.{kind}', in_channels=12, channels=8, **kwargs))


@pytest.mark.parametrize('kind', ['ASPPContext', 'DenseASPPContext', 'NonLocalContext'])
@pytest.mark.parametrize('batch', [1, 2])
def test_contexts_take_the_place_of_pyramid_pooling(kind, batch):
    module = context(kind)
    x = torch.randn(batch, 12, 5, 7, requires_grad=True)
    out = module.train()(x)
    assert out.shape == (batch, 8, 5, 7)
    out.square().sum().backward()
    assert x.grad.abs().min() > 0


def reach(module, size=61):
    """Columns of the input that the middle pixel of the output depends on."""
    x = torch.randn(1, 12, 1, size, requires_grad=True)
    module.eval()(x)[..., size // 2].sum().backward()
    return torch.nonzero(x.grad.abs().sum((0, 1, 2)) > 1e-12).flatten() - size // 2


def test_aspp_sees_its_dilations_and_the_mean():
    module = context('ASPPContext', dilations=(1, 4, 9))
    torch.nn.init.zeros_(module.bottleneck.conv.weight[:, :8])  # without the mean
    assert reach(module).tolist() == [-9, -4, 0, 4, 9]
    torch.nn.init.ones_(module.bottleneck.conv.weight)
    assert len(reach(module)) == 61


def test_dense_aspp_chains_its_dilations():
    module = context('DenseASPPContext', dilations=(3, 6))
    seen = reach(module).tolist()
    # Each alone, and one after the other.
    assert seen == [-9, -6, -3, 0, 3, 6, 9]
    widths = [layer[0].conv.in_channels for layer in module.layers]
    assert widths == [12, 16] and module.bottleneck.conv.in_channels == 20


def test_non_local_is_softmax_attention():
    module = context('NonLocalContext').eval()
    attention = module.attention
    torch.nn.init.normal_(attention.conv_out.conv.weight)
    for norm in (m for m in attention.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.ones_(norm.weight)
    x = torch.randn(1, 8, 3, 4)
    flat = {k: getattr(attention, k)(x)[0].flatten(1).T.double() for k in ('theta', 'phi', 'g')}
    weights = torch.softmax(flat['theta'] @ flat['phi'].T / flat['phi'].shape[1] ** 0.5, dim=1)
    mixed = (weights @ flat['g']).T.reshape(1, -1, 3, 4).float()
    torch.testing.assert_close(attention(x), x + attention.conv_out(mixed), atol=1e-5, rtol=1e-4)
