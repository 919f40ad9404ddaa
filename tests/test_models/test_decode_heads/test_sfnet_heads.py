"""SFNetHead and SFNetLiteHead in the ways they are run: sizes, precision, losses."""

import pytest
import torch
import torch.nn.functional as F
from helpers import ODD_CHANNELS, ODD_SIZES, flow_parameters, odd_maps, segmentation_samples
from mmseg.registry import MODELS

LOSS = dict(type='HardPixelCrossEntropy', min_kept=50)
HEADS = dict(
    sfnet=dict(type='SFNetHead', in_channels=ODD_CHANNELS),
    supervised=dict(type='SFNetHead', in_channels=ODD_CHANNELS, deep_supervision=True),
    baseline=dict(type='SFNetHead', in_channels=ODD_CHANNELS, align=None),
    fusion=dict(type='SFNetHead', in_channels=ODD_CHANNELS, align_fusion=True),
    lite=dict(type='SFNetLiteHead', in_channels=[4, 8, 10]),
    lite_conv=dict(
        type='SFNetLiteHead',
        in_channels=[4, 8, 10],
        align=dict(type='GatedDualFlowAlignmentModule', gate='conv'),
    ),
    lite_baseline=dict(type='SFNetLiteHead', in_channels=[4, 8, 10], align=None),
)


def build(name, **kwargs):
    return MODELS.build(dict(HEADS[name], channels=8, num_classes=5, loss_decode=LOSS, **kwargs))


def samples(n=1):
    return segmentation_samples(n, 65, 97, 5)


def loss_names(losses):
    return sorted(k for k in losses if 'loss' in k)


@pytest.mark.parametrize('n', [1, 2])
@pytest.mark.parametrize('name', HEADS)
def test_trains_on_odd_sizes(name, n):
    """One image too: every parameter gets a finite gradient."""
    head = build(name).train()
    losses = head.loss(odd_maps(n), samples(n), {})
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


def test_baselines_have_no_flow():
    assert flow_parameters(build('baseline')) == flow_parameters(build('lite_baseline')) == []
    assert len(flow_parameters(build('sfnet'))) == 3 * 3
    assert len(flow_parameters(build('lite'))) == 4


@torch.no_grad()
def test_fusion_is_aligned_too():
    """Three more alignment modules; at zero flow they upsample bilinearly, and only then."""
    fusion, head = build('fusion').eval(), build('sfnet').eval()
    assert len(flow_parameters(fusion)) == 2 * len(flow_parameters(head))
    missing = fusion.load_state_dict(head.state_dict(), strict=False).missing_keys
    assert missing and all(k.startswith('fusion_align.') for k in missing)
    inputs = odd_maps()
    for std, same in ((0.0, True), (1.0, False)):
        for module in fusion.fusion_align:
            torch.nn.init.normal_(module.flow_make.weight, std=std)
        assert torch.allclose(fusion(inputs), head(inputs), rtol=1e-4, atol=1e-5) == same


@torch.no_grad()
def test_lite_upsamples_and_adds_without_alignment():
    head = build('lite_baseline').eval()
    inputs = odd_maps()
    fine = head.fpn_in[0](inputs[0])
    fine, middle = [
        a + F.interpolate(b, ODD_SIZES[0], mode='bilinear', align_corners=True)
        for a, b in ((fine, head.ppm(inputs[3])), (0, head.fpn_in[1](inputs[2])))
    ]
    expected = head.conv_seg(head.conv_last(torch.cat([fine, middle], 1)))
    torch.testing.assert_close(head(inputs), expected)


@torch.no_grad()
def test_fusion_of_the_paper_joins_the_context_by_a_1x1_convolution():
    head = build('lite', fusion='paper').eval()
    assert len(head.fpn_in) == 1 and head.conv_last.conv.kernel_size == (1, 1)
    inputs = odd_maps(2)
    finest, _, last = (inputs[i] for i in head.in_index)
    fine, context = head.fpn_in[0](finest), head.ppm(last)
    fused = head.flow_align_module(fine, context)
    up = F.interpolate(context, fused.shape[2:], mode='bilinear', align_corners=True)
    joined = torch.cat([fused, up], 1)
    weight = head.conv_last.conv.weight[:, :, 0, 0]
    joined = head.conv_last.bn(torch.einsum('oc,nchw->nohw', weight, joined)).relu()
    torch.testing.assert_close(head(inputs), head.conv_seg(joined), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="fusion='both' is not one of authors, paper"):
        build('lite', fusion='both')


def test_deep_supervision_losses():
    """One loss for each fused level, of weight 1 and under a name that the runner adds up."""
    head = build('supervised').eval()  # evaluation, so that dropout does not draw
    inputs, data_samples = odd_maps(2), samples(2)
    losses = head.loss(inputs, data_samples, {})
    assert loss_names(losses) == ['dsn0.loss_ce', 'dsn1.loss_ce', 'dsn2.loss_ce', 'loss_ce']
    labels = torch.cat([s.gt_sem_seg.data for s in data_samples])
    features = head.fpn.top_down(inputs)
    for level in range(3):
        logits = head.dsn[level].conv_seg(head.dsn[level].convs(features[level]))
        logits = F.interpolate(logits, (65, 97), mode='bilinear', align_corners=True)
        expected = MODELS.build(LOSS)(logits, labels)
        torch.testing.assert_close(losses[f'dsn{level}.loss_ce'], expected)
    assert loss_names(build('sfnet').loss(inputs, data_samples, {})) == ['loss_ce']


def test_deep_supervision_costs_nothing_at_test_time():
    head, inputs = build('supervised').eval(), odd_maps()
    expected = head(inputs)
    for module in head.dsn:
        torch.nn.init.constant_(module.conv_seg.weight, float('nan'))
    torch.testing.assert_close(head(inputs), expected)


@pytest.mark.parametrize('name', ['sfnet', 'lite'])
def test_maps_of_another_backbone_are_refused_in_one_line(name):
    head = build(name)
    inputs = odd_maps()
    inputs[0] = torch.randn(1, 5, *ODD_SIZES[0])
    with pytest.raises(ValueError) as error:
        head(inputs)
    message = str(error.value)
    assert '[4, ' in message and '[5, ' in message and 'in_channels' in message
    assert '\n' not in message


@pytest.mark.parametrize('name, in_channels', [('sfnet', 10), ('lite', ODD_CHANNELS), ('lite', 10)])
def test_bad_channel_lists_are_named(name, in_channels):
    cfg = dict(HEADS[name], in_channels=in_channels, channels=8, num_classes=5)
    with pytest.raises(ValueError) as error:
        MODELS.build(cfg)
    assert str(in_channels) in str(error.value)
