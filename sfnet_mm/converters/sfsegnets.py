"""Reads the checkpoints of SFNet's authors (repository ``SFSegNets``).

:func:`convert` recognizes the model from the names and shapes of its tensors and renames them to
those of this package. Besides whole models it takes the ImageNet weights of their backbones: STDC
(``features.N``), ResNet with the authors' deep stem (``conv1.0`` ... ``bn1``) and DFNet.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch

from .sfsegnets_families import ConversionError, Family, StateDict, recognize, unwrap
from .sfsegnets_names import (
    HEAD,
    STDC_BLOCKS,
    UNUSED_CLASSIFIER,
    UNUSED_LITE,
    UNUSED_STDC,
    backbone_names,
    rename,
)


@dataclass
class Conversion:
    """Result of :func:`convert`.

    Args:
        family: The model that was recognized.
        state_dict: Tensors under the names of this package.
        dropped: Names of tensors that the authors' code never uses, by reason.
        folded: Names of biases that became part of the ``running_mean`` of the BN after them.
        filled: Names of counters (``num_batches_tracked``) that the source is too old to have.
    """

    family: Family
    state_dict: StateDict
    dropped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    folded: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)


def _merge_stdc_copies(state: StateDict) -> None:
    """Check that the two copies of STDC's weights agree; use the second if there is no first.

    Raises:
        ConversionError: The copies differ, so one of them is not what the model computed with.
    """
    for key in [k for k in state if re.match(r'backbone\.x\d+\.0\.', k)]:
        first = re.sub(r'^backbone\.x\d+\.0\.', 'backbone.features.', key)
        if first not in state:
            state[first] = state[key]
        elif not torch.equal(state[first], state[key]):
            raise ConversionError(
                f'{first} and its copy {key} differ: the authors keep them '
                'equal, so one of them is not what the model computed with'
            )


def _fold_supervision_bias(result: Conversion) -> None:
    """Move the bias of each 3x3 convolution of deep supervision into the mean of its BN.

    BN subtracts its mean from the sum, so that ``x + bias - mean`` is ``x - (mean - bias)``.
    """
    state = result.state_dict
    for key in [k for k in state if re.search(r'\.dsn\.\d+\.convs\.0\.conv\.bias$', k)]:
        mean = key.replace('.conv.bias', '.bn.running_mean')
        if mean in state:
            state[mean] = state[mean] - state.pop(key)
            result.folded.append(key)


def _quote(names: list[str], limit: int = 4) -> str:
    shown = ', '.join(names[:limit])
    return shown if len(names) <= limit else f'{shown} and {len(names) - limit} more'


def _check(result: Conversion, unplaced: list[str]) -> None:
    """Compare the result with the target, name by name and shape by shape; see :func:`convert`."""
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
            f'recognized {result.family}, but {"; ".join(problems)}', unplaced, missing
        )


def convert(checkpoint: Any, backbone_only: bool = False) -> Conversion:
    """Convert a checkpoint of SFNet's authors.

    Args:
        checkpoint: What the file holds: a state dict, bare or under ``state_dict``. Its names may
            begin with ``module.``.
        backbone_only: Leave the decoder out and name the tensors as ``init_cfg`` of a backbone
            expects them (a checkpoint without decoder is always converted like that).

    Raises:
        ConversionError: The model is not recognized, or tensors have no place here, have another
            shape or are missing.
    """
    state = unwrap(checkpoint)
    if backbone_only:
        state = {k: v for k, v in state.items() if not k.startswith('head.')}
        if not state:
            raise ConversionError('the checkpoint holds no backbone')
    family = recognize(state)
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
