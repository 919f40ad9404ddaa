"""Embeds weights of a ResNet with a narrow stem in one with a wider stem; both compute the same.

The published ResNets of OpenMMLab (``open-mmlab://resnet18_v1c``) have a stem of 32, 32 and 64
channels. Those of SFNet's authors have a stem of 64, 64 and 128 channels. Channels that the narrow
stem does not have keep their random weights. The weights that read them are zero at first, but have
a gradient, so that these channels take part from the first step on. (Net2Net,
https://arxiv.org/abs/1511.05641, grows a network by copies of its channels instead.)
"""

from collections.abc import Mapping

import torch
from torch import Tensor

# The layers whose shapes follow the width of the stem.
_WIDENED = ('stem.', 'layer1.0.conv1.', 'layer1.0.downsample.0.')
_STEM_END = 'stem.6.weight'  # This is the third convolution.
_SHORTCUT = 'layer1.0.downsample'


def widen_stem(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Embed weights in the shapes of ``own``, so that the outputs in evaluation mode stay the same.

    Args:
        weights: Weights of a ``ResNetV1c`` by name.
        own: State of a ``ResNetV1c`` of the same depth, with a stem that is not narrower.

    Returns:
        dict: The weights by name. They are unchanged if their stem is not narrower.
    """
    weights = dict(weights)
    if _STEM_END not in weights or _STEM_END not in own:
        return weights
    width, wider = len(weights[_STEM_END]), len(own[_STEM_END])
    if width >= wider:
        return weights
    for name, value in own.items():
        if name.startswith(_WIDENED) and name in weights:
            weights[name] = _embed(weights[name], value)
    # Basic blocks that have the width of the narrow stem have no layer in their shortcut.
    shortcut = own.get(f'{_SHORTCUT}.0.weight')
    if f'{_SHORTCUT}.0.weight' not in weights and shortcut is not None and len(shortcut) == width:
        weights.update(_identity_shortcut(own, width))
    return weights


def _embed(small: Tensor, large: Tensor) -> Tensor:
    """Copy ``small`` into the first channels of a copy of ``large``; other inputs get zeros.

    A number and a kernel of another size are returned as they are.
    """
    # A 1x1 kernel is one of a network with bottlenecks, of which the shortcut does not fit, too.
    fits = small.dim() == large.dim() > 0 and small.shape[2:] in (large.shape[2:], (1, 1))
    if not fits or any(s > n for s, n in zip(small.shape, large.shape)):
        return small
    grown = large.detach().clone()
    grown[: len(small)] = 0
    grown[tuple(map(slice, small.shape[:2]))] = small
    return grown


def _identity_shortcut(own: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    """Make a 1x1 convolution and a normalization that pass the first ``width`` channels on."""
    convolution = torch.zeros_like(own[f'{_SHORTCUT}.0.weight'])
    convolution[range(width), range(width)] = 1
    eps = 1e-5  # This is the eps of batch normalization.
    return {
        f'{_SHORTCUT}.0.weight': convolution,
        f'{_SHORTCUT}.1.weight': torch.ones(width),
        f'{_SHORTCUT}.1.bias': torch.zeros(width),
        f'{_SHORTCUT}.1.running_mean': torch.zeros(width),
        f'{_SHORTCUT}.1.running_var': torch.full((width,), 1 - eps),
    }
