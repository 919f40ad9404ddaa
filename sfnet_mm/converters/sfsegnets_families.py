"""Tells which model of the authors (repository ``SFSegNets``) a state dict belongs to."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from .sfsegnets_names import BACKBONES, DFSEG, STDC_BLOCKS

StateDict = dict[str, Tensor]


class ConversionError(ValueError):
    """A state dict does not fit any model of this package; the message is one line.

    Attributes:
        unplaced: Every tensor of the source that the target has no place for, with its shape.
        missing: Every tensor of the target that the source does not give, with its shape.
    """

    def __init__(self, message: str, unplaced: list[str] = (), missing: list[str] = ()) -> None:
        super().__init__(message)
        self.unplaced = list(unplaced)
        self.missing = list(missing)


@dataclass
class Family:
    """The model of the authors that a state dict belongs to.

    Args:
        backbone: Key of ``BACKBONES``.
        head: ``'sfnet'``, ``'sfnet_lite'``, ``'fpn_ppm'``, ``'dfseg'``, or None for a backbone.
        width: Channels of the decoder.
        num_classes: Classes of the decoder.
        gate: Gate of GD-FAM, for SFNet-Lite.
        deep_supervision: Whether the layers of deep supervision exist and are used.
    """

    backbone: str
    head: str | None = None
    width: int = 0
    num_classes: int = 0
    gate: str | None = None
    deep_supervision: bool = False

    def __str__(self) -> str:
        title = BACKBONES[self.backbone].title
        if self.head is None:
            return f'{title} backbone'
        name = dict(
            sfnet='SFNet', sfnet_lite='SFNet-Lite', fpn_ppm='FPN+PPM baseline', dfseg='DF-Seg'
        )[self.head]
        extras = [f'{self.num_classes} classes']
        if self.gate:
            extras.append(f'{self.gate} gate')
        if self.deep_supervision:
            extras.append('deep supervision')
        return f'{name} with {title} ({", ".join(extras)})'

    def head_cfg(self) -> dict[str, Any]:
        """Return the config of the decode head that the tensors belong to."""
        channels = BACKBONES[self.backbone].channels
        cfg = dict(channels=self.width, num_classes=self.num_classes)
        if self.head == 'dfseg':
            return dict(cfg, type='DFSegHead', in_channels=list(channels))
        if self.head == 'sfnet_lite':
            index = BACKBONES[self.backbone].lite_index
            align = dict(type='GatedDualFlowAlignmentModule', gate=self.gate)
            return dict(
                cfg,
                type='SFNetLiteHead',
                in_channels=[channels[i] for i in index],
                in_index=list(index),
                align=align,
            )
        cfg.update(
            type='SFNetHead', in_channels=list(channels), deep_supervision=self.deep_supervision
        )
        return cfg if self.head == 'sfnet' else dict(cfg, align=None)

    def build(self) -> nn.Module:
        """Build the model on torch's ``meta`` device, without memory for its weights."""
        with warnings.catch_warnings(), torch.device('meta'):
            warnings.simplefilter('ignore')  # the hosts warn about training
            model = nn.Module()
            model.backbone = MODELS.build(dict(BACKBONES[self.backbone].cfg))
            if self.head is not None:
                model.decode_head = MODELS.build(self.head_cfg())
        return model if self.head is not None else model.backbone

    def configs(self) -> list[str]:
        """Return the configs that the converted weights fit, together with :meth:`options`."""
        if self.head is None:
            return []
        if self.head == 'fpn_ppm':
            return [f'configs/ablation/fpn_ppm_{self.backbone}_cityscapes.py']
        folder = 'configs/baselines' if self.head == 'dfseg' else 'configs'
        return [f'{folder}/{self.head}_{self.backbone}_{data}.py' for data in ('cityscapes', 'uds')]

    def options(self) -> list[str]:
        """Return the ``--cfg-options`` that these configs need."""
        options = []
        if self.gate == 'conv':
            options.append('model.decode_head.align.type=GatedDualFlowAlignmentModule')
            options.append('model.decode_head.align.gate=conv')
        if self.head is not None and self.num_classes != 19:
            options.append(f'model.decode_head.num_classes={self.num_classes}')
        if self.deep_supervision:
            options.append('model.decode_head.deep_supervision=True')
        return options


def unwrap(checkpoint: Any) -> StateDict:
    """Return the tensors of a checkpoint, without ``state_dict`` and the prefix ``module.``.

    Names without prefix (the backbone of the authors' ResNets, the decoder of DF-Seg, ImageNet
    weights) get ``backbone.`` or ``head.``.

    Raises:
        ConversionError: The checkpoint is not a dict of named tensors.
    """
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise ConversionError('the checkpoint holds no state_dict')
    alien = next((k for k, v in state.items() if not isinstance(v, Tensor)), None)
    if alien is not None:
        raise ConversionError(
            f'the checkpoint holds no state_dict: its entry {alien!r} is a '
            f'{type(state[alien]).__name__}, not a tensor'
        )
    named = {}
    for key, value in state.items():
        key = str(key).removeprefix('module.')
        if not key.startswith(('backbone.', 'head.')):
            key = f'head.{key}' if re.match(DFSEG, key) else f'backbone.{key}'
        named[key] = value
    return named


def _recognize_backbone(state: StateDict) -> str:
    """Find the key of the backbone in ``BACKBONES``."""
    blocks = {m[1] for m in (re.match(r'backbone\.layer3\.(\d+)\.', k) for k in state) if m}
    has_stem = any(re.match(r'backbone\.(layer0\.0|conv1)\.0\.', k) for k in state)
    if blocks and has_stem:
        kind = (len(blocks), 'backbone.layer3.0.conv3.weight' in state)
        names = {(2, False): 'r18', (6, True): 'r50', (23, True): 'r101'}
        if kind not in names:
            raise ConversionError(
                f'a ResNet with {kind[0]} blocks in its third stage is none of '
                "the authors' ResNet-18, 50 and 101"
            )
        return names[kind]
    features = {
        m[1] for m in (re.match(r'backbone\.(?:features|x\d+\.0)\.(\d+)\.', k) for k in state) if m
    }
    if features:
        # Any later block identifies the variant, so the error for a damaged file names its gaps.
        return 'stdc1' if max(map(int, features)) < 2 + sum(STDC_BLOCKS['stdc1']) else 'stdc2'
    if any(k.startswith('backbone.stage2_1.') for k in state):
        return 'df2'
    if any(k.startswith('backbone.stage2.') for k in state):
        return 'df1'
    raise ConversionError(
        'no model of the authors is recognized: none of their backbones (ResNet with deep stem, '
        f'STDC, DFNet) starts like {next(iter(state)).replace("backbone.", "", 1)}'
    )


def recognize(state: StateDict) -> Family:
    """Find the family of a state dict that :func:`unwrap` returned.

    Raises:
        ConversionError: It is not a model of the authors, or this package does not have the model.
    """
    if any(k.startswith('backbone.decode_head.') for k in state):
        raise ConversionError(
            'the checkpoint has the names of MMSegmentation already '
            '(decode_head.*): use it without conversion'
        )
    backbone = _recognize_backbone(state)
    if not any(k.startswith('head.') for k in state):
        return Family(backbone)
    heads = dict(sfnet_lite='flow_align_module', sfnet='fpn_out_align', dfseg='fn4', fpn_ppm='')
    head = next(h for h, mark in heads.items() if any(k.startswith(f'head.{mark}') for k in state))
    lite = head == 'sfnet_lite'
    width = BACKBONES[backbone].widths.get('sfnet' if head == 'fpn_ppm' else head, 0)
    bottleneck, classifier = 'head.ppm.bottleneck.0.weight', 'head.conv_last.1.weight'
    if head == 'dfseg':
        bottleneck, classifier = 'head.fc.aux.0.weight', 'head.fc.aux.4.weight'
    if bottleneck in state:
        width = len(state[bottleneck])
    num_classes = len(state[classifier]) if classifier in state else 19
    gate = None
    if lite:
        weight = state.get('head.flow_align_module.flow_gate.0.weight')
        gate = 'attention' if weight is None or weight.shape[1] == 4 else 'conv'
    supervised = not lite and any(k.startswith('head.dsn.') for k in state)
    return Family(backbone, head, width, num_classes, gate, supervised)
