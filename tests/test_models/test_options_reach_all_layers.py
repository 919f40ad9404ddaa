"""Options such as ``align_corners`` and ``norm_cfg`` mean every layer of a decoder or backbone."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, ConvWS2d, is_norm
from mmseg.registry import MODELS

from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule, PyramidContext
from sfnet_mm.models.layers.flow_alignment import InferenceFAM
from sfnet_mm.models.layers.gated_dual_flow_alignment import InferenceGDFAM
from sfnet_mm.models.layers.pyramid_context import InferenceContext
from sfnet_mm.models.layers.rearranged_convs import TapConv2d

CHANNELS = [4, 6, 8, 10]
LITE = dict(type='SFNetLiteHead', in_channels=[4, 8, 10], in_index=[0, 2, 3])
FULL = dict(type='SFNetHead', in_channels=CHANNELS)
FAM = dict(type='FlowAlignmentModule')
DCN = dict(type='DeformableAlignmentModule', backend='native')
HEADS = {
    'lite': LITE,
    'lite_without_flow': dict(LITE, align=None),
    'sfnet': FULL,
    'sfnet_scoped': dict(FULL, context=dict(type='mmseg.PyramidContext', mode='sppm')),
    'fusion': dict(FULL, align=FAM, align_fusion=True),
    'deformable': dict(FULL, align=DCN),
    'dfseg': dict(type='DFSegHead', in_channels=[4, 8, 10], width=8),
    'bialign': dict(type='BiAlignHead', in_channels=[8, 10], width=8),
}


def maps(head):
    channels = {'DFSegHead': [4, 8, 10], 'BiAlignHead': [8, 10]}.get(head['type'], CHANNELS)
    return [torch.randn(2, c, 17 - 4 * i, 25 - 5 * i) for i, c in enumerate(channels)]


def build(part, **options):
    return MODELS.build({**part, **options}).eval()


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('name', HEADS)
def test_align_corners_is_that_of_all_bilinear_upsampling(name, align_corners, monkeypatch):
    used, original = [], F.interpolate

    def interpolate(x, *args, **kwargs):
        used.append(kwargs['align_corners'])
        return original(x, *args, **kwargs)

    head = build(HEADS[name], channels=8, num_classes=3, align_corners=align_corners)
    monkeypatch.setattr(F, 'interpolate', interpolate)
    with torch.no_grad():
        head(maps(HEADS[name]))
    assert len(used) > 1 and set(used) == {align_corners}


def test_neck_passes_align_corners_on_and_parts_can_differ():
    neck = build(dict(type='AlignedFPN', in_channels=CHANNELS, out_channels=8, align_corners=False))
    assert neck.ppm.stages.align_corners is False
    assert not any(a.upsample.align_corners for a in neck.fpn_out_align.values())
    context = dict(type='PyramidContext', align_corners=True, norm_cfg=None)
    head = build(LITE, channels=8, num_classes=3, align_corners=False, context=context)
    assert head.ppm.stages.align_corners is True and head.conv_last.norm is not None
    assert head.ppm.bottleneck.norm is None


@pytest.mark.parametrize('align_corners', [True, False])
def test_inference_layers_upsample_alike(align_corners):
    corners = dict(align_corners=align_corners)
    low, high = torch.randn(1, 8, 9, 14).double(), torch.randn(1, 8, 4, 5).double()
    with torch.no_grad():
        for kind, form in (
            (FlowAlignmentModule, InferenceFAM),
            (GatedDualFlowAlignmentModule, InferenceGDFAM),
        ):
            module = kind(8, **corners).double()
            module.flow_make.weight.data *= 20
            torch.testing.assert_close(form(module)(low, high), module(low, high))
        context = PyramidContext(8, 6, norm_cfg=None, **corners).double().eval()
        torch.testing.assert_close(InferenceContext(context)(low), context(low))
        conv = torch.nn.Conv2d(8, 5, 3, padding=1, bias=False).double()
        expected = conv(F.interpolate(high, (9, 14), mode='bilinear', **corners))
        got = TapConv2d(conv.weight, conv, align_corners)(high, (9, 14))
        torch.testing.assert_close(got, expected)


BACKBONES = {
    'stdc': dict(type='STDCPyramid', channels=(8, 8, 16, 24, 32)),
    'dfnet': dict(type='DFNet'),
    'shufflenet': dict(type='ShuffleNetV2', width=0.5),
    'resnet': dict(type='SFResNet'),
    'efficientnet': dict(type='EfficientNetLite'),
    'bialign': dict(type='BiAlignNet'),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_backbone_of_four_bands(name):
    assert all(
        x.isfinite().all() for x in build(BACKBONES[name], in_channels=4)(torch.randn(1, 4, 64, 64))
    )


@pytest.mark.parametrize('name', BACKBONES)
def test_backbone_without_normalization(name):
    backbone = build(BACKBONES[name], norm_cfg=None)
    assert not any(map(is_norm, backbone.modules()))
    assert all(x.isfinite().all() for x in backbone(torch.randn(1, 3, 64, 64)))


@pytest.mark.parametrize('name', ['dfseg', 'bialign'])
def test_decoder_takes_the_last_maps(name):
    inputs = maps(HEADS[name])
    head = build(
        HEADS[name],
        channels=8,
        num_classes=3,
        in_index=[-len(inputs) + i for i in range(len(inputs))],
    )
    with torch.no_grad():
        assert torch.equal(head([torch.zeros(1), *inputs]), head(inputs))


@pytest.mark.parametrize('name', HEADS)
def test_decoder_without_normalization(name):
    head = build(HEADS[name], channels=8, num_classes=3, norm_cfg=None)
    assert not any(map(is_norm, head.modules()))
    assert head(maps(HEADS[name])).isfinite().all()


@pytest.mark.parametrize(
    'context', ['PyramidContext', 'ASPPContext', 'DenseASPPContext', 'NonLocalContext']
)
@pytest.mark.parametrize('name', ['lite', 'lite_without_flow', 'sfnet', 'fusion', 'dfseg'])
def test_layers_of_a_decoder_are_those_of_the_config(name, context):
    supervision = {} if name == 'dfseg' else dict(deep_supervision=True)
    layers = dict(conv_cfg=dict(type='ConvWS'), act_cfg=dict(type='ELU'), **supervision)
    head = build(HEADS[name], channels=8, num_classes=3, context=dict(type=context), **layers)
    layers = [layer for layer in head.modules() if isinstance(layer, ConvModule)]
    assert {type(layer.conv) for layer in layers} == {ConvWS2d}
    assert {type(layer.activate) for layer in layers if layer.with_activation} == {torch.nn.ELU}
    assert not any(isinstance(module, torch.nn.ReLU) for module in head.modules())
    # A flow is predicted by plain convolutions.
    flow = [m for n, m in head.named_modules() if 'flow_make' in n or 'down_' in n]
    assert not any(isinstance(module, ConvWS2d) for module in flow)
    assert head(maps(HEADS[name])).isfinite().all()


@pytest.mark.parametrize('affine', [False, True])
def test_context_with_instance_normalization_of_a_single_value(affine):
    """By its definition, (x - mean) / sqrt(var + eps) * weight + bias, where x is the mean."""
    context = PyramidContext(5, 4, norm_cfg=dict(type='IN', affine=affine)).train()
    norm = context.stages[0][1].norm
    if affine:
        torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 5, 6, 6)
    expected = norm.bias.view(1, 4, 1, 1).expand(2, 4, 6, 6) if affine else torch.zeros(2, 4, 6, 6)
    torch.testing.assert_close(context.stages(x)[0], expected)
    context(x).sum().backward()
    assert all(p.grad is not None for p in context.parameters())
