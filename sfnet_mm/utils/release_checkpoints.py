"""Reads the checkpoints that SFNet's authors released (repository ``SFSegNets``).

:func:`convert` recognises the model from the names and shapes of its tensors and renames them to
those of this package. Besides whole models it takes the ImageNet weights of their backbones: STDC
(``features.N``), ResNet with the authors' deep stem (``conv1.0`` ... ``bn1``) and DFNet.
"""

import re
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from .release_names import (
    BACKBONES,
    DFSEG,
    HEAD,
    STDC_BLOCKS,
    UNUSED_CLASSIFIER,
    UNUSED_LITE,
    UNUSED_STDC,
    backbone_names,
    rename,
)

StateDict = Dict[str, Tensor]


class ConversionError(ValueError):
    """A state dict does not fit any model of this package; the message is one line.

    Attributes:
        unplaced: Every tensor of the source that the target has no place for, with its shape.
        missing: Every tensor of the target that the source does not give, with its shape.
    """

    def __init__(self, message: str, unplaced: List[str] = (), missing: List[str] = ()) -> None:
        super().__init__(message)
        self.unplaced = list(unplaced)
        self.missing = list(missing)


@dataclass
class Family:
    """What a state dict of the release was recognised as.

    Args:
        backbone: Key of ``BACKBONES``.
        head: ``'sfnet'``, ``'sfnet_lite'``, ``'fpn_ppm'``, ``'dfseg'``, or None for a backbone.
        width: Channels of the decoder.
        num_classes: Classes of the decoder.
        gate: Gate of GD-FAM, for SFNet-Lite.
        deep_supervision: Whether the layers of deep supervision are there and used.
    """

    backbone: str
    head: Optional[str] = None
    width: int = 0
    num_classes: int = 0
    gate: Optional[str] = None
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

    def head_cfg(self) -> Dict[str, Any]:
        """Config of the decode head that the tensors belong to."""
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
        """The model without memory for its weights (on torch's ``meta`` device)."""
        with warnings.catch_warnings(), torch.device('meta'):
            warnings.simplefilter('ignore')  # the hosts' advice on training
            model = nn.Module()
            model.backbone = MODELS.build(dict(BACKBONES[self.backbone].cfg))
            if self.head is not None:
                model.decode_head = MODELS.build(self.head_cfg())
        return model if self.head is not None else model.backbone

    def configs(self) -> List[str]:
        """Configs that the converted weights fit, without the options of :meth:`options`."""
        if self.head is None:
            return []
        if self.head == 'fpn_ppm':
            return [f'configs/ablation/fpn_ppm_{self.backbone}_cityscapes.py']
        folder = 'configs/baselines' if self.head == 'dfseg' else 'configs'
        return [f'{folder}/{self.head}_{self.backbone}_{data}.py' for data in ('cityscapes', 'uds')]

    def options(self) -> List[str]:
        """What ``--cfg-options`` must say beside those configs."""
        options = []
        if self.gate == 'conv':
            options.append('model.decode_head.align.type=GatedDualFlowAlignmentModule')
            options.append('model.decode_head.align.gate=conv')
        if self.head is not None and self.num_classes != 19:
            options.append(f'model.decode_head.num_classes={self.num_classes}')
        if self.deep_supervision:
            options.append('model.decode_head.deep_supervision=True')
        return options


@dataclass
class Conversion:
    """Result of :func:`convert`.

    Args:
        family: What was recognised.
        state_dict: Tensors under the names of this package.
        dropped: Reason -> names of the tensors of the source that the release never uses.
        folded: Biases of convolutions that became part of the ``running_mean`` of their BN.
        filled: Counters (``num_batches_tracked``) that the source is too old to have.
    """

    family: Family
    state_dict: StateDict
    dropped: Dict[str, List[str]] = field(default_factory=lambda: defaultdict(list))
    folded: List[str] = field(default_factory=list)
    filled: List[str] = field(default_factory=list)


def unwrap(checkpoint: Any) -> StateDict:
    """The tensors of a checkpoint: without ``state_dict`` around them and ``module.`` before names.

    Names without prefix (the backbone of the release's ResNets, the decoder of DF-Seg, ImageNet
    weights) get ``backbone.`` or ``head.``.

    Raises:
        ConversionError: No dict of named tensors.
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
    state = {re.sub(r'^module\.', '', str(k)): v for k, v in state.items()}
    named = {}
    for key, value in state.items():
        if not key.startswith(('backbone.', 'head.')):
            key = f'head.{key}' if re.match(DFSEG, key) else f'backbone.{key}'
        named[key] = value
    return named


def _recognise_backbone(state: StateDict) -> str:
    """Key of ``BACKBONES``."""
    blocks = {m[1] for m in (re.match(r'backbone\.layer3\.(\d+)\.', k) for k in state) if m}
    has_stem = any(re.match(r'backbone\.(layer0\.0|conv1)\.0\.', k) for k in state)
    if blocks and has_stem:
        kind = (len(blocks), 'backbone.layer3.0.conv3.weight' in state)
        names = {(2, False): 'r18', (6, True): 'r50', (23, True): 'r101'}
        if kind not in names:
            raise ConversionError(
                f'a ResNet with {kind[0]} blocks in its third stage is none of '
                'the ResNet-18, 50 and 101 of the release'
            )
        return names[kind]
    features = {
        m[1] for m in (re.match(r'backbone\.(?:features|x\d+\.0)\.(\d+)\.', k) for k in state) if m
    }
    if features:
        # Any of the later blocks tells: a file that lacks one is then named with what it lacks.
        return 'stdc1' if max(map(int, features)) < 2 + sum(STDC_BLOCKS['stdc1']) else 'stdc2'
    if any(k.startswith('backbone.stage2_1.') for k in state):
        return 'df2'
    if any(k.startswith('backbone.stage2.') for k in state):
        return 'df1'
    raise ConversionError(
        'no model of the release is recognised: none of its backbones (ResNet with deep stem, '
        f'STDC, DFNet) starts like {next(iter(state)).replace("backbone.", "", 1)}'
    )


def recognise(state: StateDict) -> Family:
    """Family of a state dict that :func:`unwrap` returned.

    Raises:
        ConversionError: No family of the release, or one that this package does not have.
    """
    if any(k.startswith('backbone.decode_head.') for k in state):
        raise ConversionError(
            'the checkpoint has the names of MMSegmentation already '
            '(decode_head.*): use it without conversion'
        )
    backbone = _recognise_backbone(state)
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


def _merge_stdc_copies(state: StateDict) -> None:
    """Check that the two copies of STDC's weights agree; use the second where it is the only one.

    Raises:
        ConversionError: The copies differ, so that one of them is not what the model computed with.
    """
    for key in [k for k in state if re.match(r'backbone\.x\d+\.0\.', k)]:
        first = re.sub(r'^backbone\.x\d+\.0\.', 'backbone.features.', key)
        if first not in state:
            state[first] = state[key]
        elif not torch.equal(state[first], state[key]):
            raise ConversionError(
                f'{first} and its copy {key} differ: the release keeps them '
                'equal, so one of them is not what the model computed with'
            )


def _fold_supervision_bias(result: Conversion) -> None:
    """Move the bias of each 3x3 convolution under deep supervision into the mean of its BN.

    BN subtracts its mean from the sum, so that ``x + bias - mean`` is ``x - (mean - bias)``.
    """
    state = result.state_dict
    for key in [k for k in state if re.search(r'\.dsn\.\d+\.convs\.0\.conv\.bias$', k)]:
        mean = key.replace('.conv.bias', '.bn.running_mean')
        if mean in state:
            state[mean] = state[mean] - state.pop(key)
            result.folded.append(key)


def _quote(names: List[str], limit: int = 4) -> str:
    shown = ', '.join(names[:limit])
    return shown if len(names) <= limit else f'{shown} and {len(names) - limit} more'


def _check(result: Conversion, unplaced: List[str]) -> None:
    """Compare with the target, name by name and shape by shape; see :func:`convert`."""
    state = result.state_dict
    target = {k: tuple(v.shape) for k, v in result.family.build().state_dict().items()}
    missing = []
    for key in sorted(target.keys() - state.keys()):
        if key.endswith('.num_batches_tracked'):
            state[key] = torch.zeros((), dtype=torch.long)
            result.filled.append(key)
        else:
            missing.append(f'{key} {target[key]}')
    for key, value in state.items():
        shape = tuple(value.shape)
        if key not in target:
            unplaced.append(f'{key} {shape}')
        elif shape != target[key]:
            unplaced.append(f'{key} {shape}, which should be {target[key]}')
    problems = []
    if unplaced:
        problems.append(f'{len(unplaced)} tensors have no place ({_quote(unplaced)})')
    if missing:
        problems.append(f'{len(missing)} tensors of the target are missing ({_quote(missing)})')
    if problems:
        raise ConversionError(
            f'recognised {result.family}, but {"; ".join(problems)}', unplaced, missing
        )


def convert(checkpoint: Any, backbone_only: bool = False) -> Conversion:
    """Convert a checkpoint of the release.

    Args:
        checkpoint: What the file holds: a state dict, bare or under ``state_dict``, names with or
            without ``module.``.
        backbone_only: Leave the decoder out and name the tensors as ``init_cfg`` of a backbone
            expects them (a checkpoint without decoder is always converted like that).

    Raises:
        ConversionError: Not recognised, or tensors remain without a place, have another shape or
            are missing.
    """
    state = unwrap(checkpoint)
    if backbone_only:
        state = {k: v for k, v in state.items() if not k.startswith('head.')}
        if not state:
            raise ConversionError('the checkpoint holds no backbone')
    family = recognise(state)
    result = Conversion(family, {})
    names, unused = backbone_names(family.backbone), dict(UNUSED_CLASSIFIER)
    if family.backbone in STDC_BLOCKS:
        _merge_stdc_copies(state)
        unused.update(UNUSED_STDC)
    if family.head == 'sfnet_lite':
        unused.update(UNUSED_LITE)
    fpn = '' if family.head in ('sfnet_lite', 'dfseg') else 'fpn.'
    head_names = {k: v.replace('{fpn}', fpn) for k, v in HEAD.items()}
    unplaced = []
    for key, value in state.items():
        reason = next((r for pattern, r in unused.items() if re.match(pattern, key)), None)
        if reason is not None:
            result.dropped[reason].append(key)
            continue
        in_head = key.startswith('head.')
        name = rename(key, head_names if in_head else names)
        if name is None:
            unplaced.append(f'{key} {tuple(value.shape)}')
            continue
        prefix = '' if family.head is None else 'decode_head.' if in_head else 'backbone.'
        result.state_dict[prefix + name] = value
    _fold_supervision_bias(result)
    _check(result, unplaced)
    return result
