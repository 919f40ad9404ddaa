"""The convolution that takes the parts of a concatenated map."""

import pytest
import torch
import torch.nn.functional as F

from sfnet_mm.models.layers.concat_conv import ConcatConv2d


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('channels', [(6,), (2, 4), (1, 3, 2)])
def test_is_the_convolution_of_the_concatenated_map(channels, bias):
    conv = ConcatConv2d(6, 5, 3, stride=2, padding=2, dilation=2, bias=bias).double()
    maps = [torch.randn(2, c, 9, 7, dtype=torch.float64) for c in channels]
    expected = F.conv2d(torch.cat(maps, 1), conv.weight, conv.bias, 2, 2, 2)
    torch.testing.assert_close(conv(*maps), expected, rtol=1e-12, atol=1e-12)


def test_weights_are_those_of_a_plain_convolution():
    plain = torch.nn.Conv2d(6, 5, 3)
    conv = ConcatConv2d(6, 5, 3)
    assert conv.load_state_dict(plain.state_dict()).missing_keys == []


def test_missing_channels_are_an_error():
    with pytest.raises(RuntimeError, match='split'):
        ConcatConv2d(6, 5, 3)(torch.randn(1, 4, 5, 5))
