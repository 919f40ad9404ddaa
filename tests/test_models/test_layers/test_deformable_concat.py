"""The deformable convolution of both maps (Tables 9d and 16)."""

import pytest
import torch
import torch.nn.functional as F

from sfnet_mm.models import DeformableConcatAlignment, SFNetHead


def maps(dtype=torch.float64):
    return torch.randn(1, 4, 6, 10, dtype=dtype), torch.randn(1, 4, 3, 5, dtype=dtype)


def test_both_maps_are_convolved_where_the_offsets_point_to():
    module = DeformableConcatAlignment(4, backend='native').double()
    low, high = maps()
    up = F.interpolate(high, size=(6, 10), mode='bilinear', align_corners=True)
    both = torch.cat([low, up], dim=1)
    # Without training it is a convolution of eight channels.
    plain = F.conv2d(both, module.weight, padding=1)
    torch.testing.assert_close(module(low, high), plain, atol=1e-9, rtol=1e-9)
    # Every tap moved one pixel down and two to the right.
    with torch.no_grad():
        module.offset.bias[0::2], module.offset.bias[1::2] = 1.0, 2.0
    moved = F.conv2d(F.pad(both, (0, 3, 0, 2)), module.weight, padding=1)[..., 1:7, 2:12]
    out = module(low, high)
    torch.testing.assert_close(out[..., 1:, 1:], moved[..., 1:, 1:], atol=1e-9, rtol=1e-9)


def test_offsets_learn():
    module = DeformableConcatAlignment(4, backend='native')
    module(*maps(torch.float32)).square().mean().backward()
    assert module.offset.weight.grad.abs().max() > 0


def test_bad_arguments():
    with pytest.raises(ValueError, match='kernel_size=2'):
        DeformableConcatAlignment(4, kernel_size=2)
    with pytest.raises(ValueError, match="DeformableConcatAlignment: backend='torch'"):
        DeformableConcatAlignment(4, backend='torch')


def test_it_takes_the_place_of_fam_at_the_last_step():
    align = dict(type='DeformableConcatAlignment', backend='native')
    head = SFNetHead([8, 8, 8], 8, num_classes=3, align=align, align_levels=[1])
    kinds = {n: type(m).__name__ for n, m in head.named_modules() if n.endswith('_align.1')}
    assert list(kinds.values()) == ['DeformableConcatAlignment']
    outs = head([torch.randn(2, 8, s, s) for s in (16, 8, 4)])
    assert outs.shape == (2, 3, 16, 16)
