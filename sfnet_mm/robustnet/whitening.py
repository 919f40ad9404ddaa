"""Puts RobustNet's instance whitening into a backbone.

RobustNet: Improving Domain Generalization in Urban-Scene Segmentation via Instance Selective
Whitening, https://arxiv.org/abs/2103.15597, section 4 (authors' ``InstanceWhitening`` and the codes
of ``wt_layer``; their setting ``0 0 2 2 2 0 0`` is ``('stem', 'layer1', 'layer2')`` here). SFNet's
paper trains its models with it in Table 17.

The layer itself only standardizes each channel of each image. The loss (``whitening_loss.py``)
decorrelates the channels; it reads the outputs of these layers.
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.utils.checkpoint as cp
from mmseg.models.backbones import ResNet, STDCNet
from mmseg.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor

SLOTS = ('stem', 'layer1', 'layer2', 'layer3', 'layer4')


class InstanceWhitening(nn.GroupNorm):
    """Normalizes each channel of each image to mean 0 and variance 1, without parameters.

    This is ``nn.InstanceNorm2d(affine=False)``, computed as a group norm of one channel a group,
    which takes a fifth of the time on a CPU.

    Args:
        channels: Channels of the map.

    Shape: (N, channels, H, W) to the same shape. Training and test time do not differ.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, affine=False)


class WhitenedReLU(nn.ReLU):
    """ReLU after whitening, which works in place where no gradient is needed.

    In training the loss needs the unchanged map. At test time, a second map would take more time
    than the whitening.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply ReLU to a map of any shape."""
        return nn.functional.relu(x, inplace=not torch.is_grad_enabled())


class _WhitenedBlock:
    """A residual block with ``whitening`` between its sum and its last ReLU.

    mmseg adds the shortcut inside a closure, where no hook can be set. So the class of the block is
    changed instead, which keeps its parameters and their names.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            out = cp.checkpoint(self.residual, x, use_reentrant=False)
        else:
            out = self.residual(x)
        return self.whitened_relu(self.whitening(out))

    def shortcut(self, x: Tensor) -> Tensor:
        return x if self.downsample is None else self.downsample(x)


class WhitenedBasicBlock(_WhitenedBlock, BasicBlock):
    """mmseg's ``BasicBlock`` with whitening after the sum."""

    def residual(self, x: Tensor) -> Tensor:
        """Compute the sum of branch and shortcut, before whitening."""
        out = self.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(out)) + self.shortcut(x)


class WhitenedBottleneck(_WhitenedBlock, Bottleneck):
    """mmseg's ``Bottleneck`` with whitening after the sum."""

    def residual(self, x: Tensor) -> Tensor:
        """Compute the sum of branch and shortcut, before whitening."""
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        return self.norm3(self.conv3(out)) + self.shortcut(x)


_WHITENED: dict[type[nn.Module], type[nn.Module]] = {
    BasicBlock: WhitenedBasicBlock,
    Bottleneck: WhitenedBottleneck,
}


def _whiten_resnet(backbone: ResNet, slot: str) -> InstanceWhitening:
    if slot == 'stem':
        layer = InstanceWhitening(backbone.stem_channels)
        if backbone.deep_stem:
            backbone.stem[-2], backbone.stem[-1] = layer, WhitenedReLU()
        else:
            setattr(backbone, backbone.norm1_name, layer)
            backbone.relu = WhitenedReLU()
        return layer
    block = getattr(backbone, slot)[-1]
    if type(block) not in _WHITENED or getattr(block, 'with_plugins', False):
        raise ValueError(
            f'insert_whitening: the last block of {slot} is a '
            f'{type(block).__name__} (plugins: {getattr(block, "plugins", None)}); '
            'only plain BasicBlock and Bottleneck can be whitened'
        )
    channels = block.conv1.out_channels * block.expansion
    block.__class__ = _WHITENED[type(block)]
    block.whitening, block.whitened_relu = InstanceWhitening(channels), WhitenedReLU()
    return block.whitening


def _whiten_stdc(backbone: STDCNet, slot: str) -> InstanceWhitening:
    # Slots are chosen by stride. The first two stages are one convolution each, like the stem of a
    # ResNet (their norm is replaced); the others end in a concatenation, and the layer is appended
    # to it.
    index = SLOTS.index(slot)
    stage = backbone.stages[index]
    if index < 2:
        layer = InstanceWhitening(stage.conv.out_channels)
        setattr(stage, stage.norm_name, layer)
        stage.activate = WhitenedReLU()
    else:
        layer = InstanceWhitening(backbone.channels[index])
        stage.append(layer)
    return layer


def insert_whitening(
    backbone: nn.Module, slots: Sequence[str] = ('stem', 'layer1', 'layer2')
) -> dict[str, InstanceWhitening]:
    """Put instance whitening into a ResNet or STDC backbone, in place.

    ``stem`` replaces the norm of the last stem convolution. ``layer{i}`` comes after the residual
    sum and before the last ReLU of the last block of that stage. In STDC the slots are the stages
    of the same stride: ``stem`` (stride 2) and ``layer1`` (4) replace the norm of that convolution,
    ``layer2`` (8) and deeper follow the concatenation of the last STDC module. RobustNet defines no
    STDC; it treats ShuffleNet, which concatenates too, in this way.

    No parameter is added and only those of a replaced norm go, so ImageNet weights still load.

    Args:
        backbone: An mmseg ``ResNet`` or ``STDCNet``, or a subclass (``SFResNet``, ``STDCPyramid``).
        slots: Some of ``stem, layer1, layer2, layer3, layer4``.

    Returns:
        The layers by slot, in the order of the network.

    Raises:
        ValueError: A slot is unknown, repeated, already whitened or missing in this backbone, or
            the backbone or a block is of another kind.
    """
    slots = tuple(slots)
    name = type(backbone).__name__
    unknown = [slot for slot in slots if slot not in SLOTS]
    if unknown or not slots or len(set(slots)) < len(slots):
        raise ValueError(
            f'insert_whitening: slots={slots} must be different ones of {", ".join(SLOTS)}'
        )
    if isinstance(backbone, ResNet):
        insert, there = _whiten_resnet, ('stem', *backbone.res_layers)
    elif isinstance(backbone, STDCNet):
        insert, there = _whiten_stdc, SLOTS[: len(backbone.stages)]
    else:
        raise ValueError(
            f'insert_whitening: {name} has no known place for whitening, use a ResNet '
            'or an STDC backbone'
        )
    if any(isinstance(m, InstanceWhitening) for m in backbone.modules()):
        raise ValueError(f'insert_whitening: this {name} is whitened already')
    absent = [slot for slot in slots if slot not in there]
    if absent:
        raise ValueError(f'insert_whitening: {name} has no {absent[0]}, only {", ".join(there)}')
    return {slot: insert(backbone, slot) for slot in SLOTS if slot in slots}
