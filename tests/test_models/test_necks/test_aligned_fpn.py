"""The aligned FPN: its wiring, its levels and what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from helpers import ODD_CHANNELS, ODD_SIZES, flow_parameters, odd_maps
from mmengine.registry import DefaultScope

from sfnet_mm.models import AlignedFPN, DFSegHead, SFNetHead, SFNetLiteHead


@torch.no_grad()
def test_without_alignment_it_is_an_fpn_with_context():
    """Sums go on down, outputs branch off: written out with plain interpolation."""
    fpn = AlignedFPN(ODD_CHANNELS, 8, align=None).eval()
    assert flow_parameters(fpn) == []
    inputs = odd_maps()
    f = fpn.ppm(inputs[3])
    expected = [f]
    for i in (2, 1, 0):
        f = F.interpolate(f, ODD_SIZES[i], mode='bilinear', align_corners=True)
        f = f + fpn.fpn_in[i](inputs[i])
        expected.insert(0, fpn.fpn_out[i](f))
    for out, value in zip(fpn(inputs), expected):
        torch.testing.assert_close(out, value)


@torch.no_grad()
def test_zero_flow_is_bilinear_upsampling():
    """With flow zero the aligned FPN is the plain one with the same weights."""
    fpn, plain = AlignedFPN(ODD_CHANNELS, 8).eval(), AlignedFPN(ODD_CHANNELS, 8, align=None).eval()
    for module in fpn.fpn_out_align.values():
        torch.nn.init.zeros_(module.flow_make.weight)
    rest = {k: v for k, v in fpn.state_dict().items() if 'fpn_out_align' not in k}
    plain.load_state_dict(rest, strict=True)
    inputs = odd_maps()
    for out, expected in zip(fpn(inputs), plain(inputs)):
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_only_the_chosen_steps_align():
    fpn = AlignedFPN(ODD_CHANNELS, 8, align_levels=(0, 2)).eval()
    assert sorted(fpn.fpn_out_align) == ['0', '2']
    assert {n.split('.')[1] for n in flow_parameters(fpn)} == {'0', '2'}
    assert len(fpn(odd_maps())) == 4


def test_as_many_stages_as_given():
    fpn = AlignedFPN(ODD_CHANNELS[:2], 8).train()
    outs = fpn(odd_maps(1)[:2])
    sum(o.square().sum() for o in outs).backward()
    assert len(outs) == 2
    assert all(p.grad is not None for p in fpn.parameters())


@pytest.mark.parametrize(
    'kwargs, named',
    [
        (dict(in_channels=[4]), r'in_channels=\[4\]'),
        (dict(in_channels=ODD_CHANNELS, align_levels=(3,)), r'align_levels=\(3,\)'),
        (dict(in_channels=ODD_CHANNELS, num_outs=3), r'num_outs=3 is below 4'),
    ],
)
def test_bad_arguments_are_named(kwargs, named):
    with pytest.raises(ValueError, match=named):
        AlignedFPN(out_channels=8, **kwargs)


def test_further_maps_are_every_second_pixel_of_the_last():
    plain, fpn = AlignedFPN(ODD_CHANNELS, 8).eval(), AlignedFPN(ODD_CHANNELS, 8, num_outs=6).eval()
    fpn.load_state_dict(plain.state_dict())
    inputs = odd_maps()
    four, six = plain(inputs), fpn(inputs)
    assert len(four) == 4 and len(six) == 6
    for ours, theirs in zip(six, (*four, four[-1][..., ::2, ::2], four[-1][..., ::4, ::4])):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_in_mmdet_the_number_of_maps_must_be_said():
    with DefaultScope.overwrite_default_scope('mmdet'):
        with pytest.raises(ValueError, match='num_outs is not set.*num_outs=4 gives one[^\n]*$'):
            AlignedFPN(ODD_CHANNELS, 8)
        assert AlignedFPN(ODD_CHANNELS, 8, num_outs=5).num_outs == 5
        # The head of SFNet says it itself.
        SFNetHead(
            ODD_CHANNELS,
            8,
            num_classes=2,
            context=dict(type='mmseg.PyramidContext'),
            align=dict(type='mmseg.FlowAlignmentModule'),
            loss_decode=dict(type='mmseg.CrossEntropyLoss'),
        )


HEADS = [
    ('AlignedFPN', lambda: AlignedFPN([8, 8, 8], 8)),
    ('AlignedFPN', lambda: SFNetHead([8, 8, 8], 8, num_classes=2)),
    ('SFNetLiteHead', lambda: SFNetLiteHead([8, 8, 8], 8, in_index=(0, 1, 2), num_classes=2)),
    ('DFSegHead', lambda: DFSegHead([8, 8, 8], channels=8, num_classes=2)),
]


@pytest.mark.parametrize('name, build', HEADS)
def test_maps_from_coarse_to_fine_are_refused(name, build):
    decoder = build().eval()
    fine_first = [torch.randn(1, 8, s, 2 * s) for s in (16, 8, 4)]
    decoder(fine_first)
    decoder([fine_first[0], fine_first[1], fine_first[1]])  # a dilated last stage
    for wrong in (fine_first[::-1], [fine_first[i] for i in (0, 2, 1)]):
        with pytest.raises(ValueError, match=f'^{name}: .*x.*fine to coarse[^\n]*$'):
            decoder(wrong)
