"""Checks the weights that a training starts from, and skips those that it does not need."""

import logging
from types import SimpleNamespace
from typing import Any

import torch.nn as nn
from mmengine.logging import print_log

from sfnet_mm.models.backbones.pretrained import (
    describe_mismatches,
    pretrained_source,
    read_weights,
)


def pretrained_parts(model: nn.Module) -> dict[str, nn.Module]:
    """Map the config path of each module whose ``init_cfg`` names a file to the module."""
    return {
        name: module
        for name, module in model.named_modules()
        if pretrained_source(module) is not None
    }


def remove_pretrained(model: nn.Module) -> None:
    """Remove all weights of ``init_cfg``, because a complete checkpoint is loaded next."""
    for module in pretrained_parts(model).values():
        module.init_cfg = None


def check_host_parts(model: nn.Module) -> None:
    """Check the files of the hosts' modules, which load what fits without an error.

    A file that lacks some tensors gives a warning that names them; some hosts publish such files.

    Raises:
        OSError: A file cannot be read or fetched.
        ValueError: A file has less than half of the tensors of a module.
    """
    for name, module in pretrained_parts(model).items():
        if getattr(module, 'requires_all_weights', False):
            continue
        source = pretrained_source(module) or {}
        weights = read_weights(**source)
        own = module.state_dict()
        fitting = sum(k in weights and weights[k].shape == v.shape for k, v in own.items())
        problems = describe_mismatches(module, weights)
        if problems:
            text = f'{source["checkpoint"]} does not fit {name}: {"; ".join(problems)}'
            if 2 * fitting < len(own):
                raise ValueError(text)
            print_log(text, 'current', logging.WARNING)


def random_weight_options(model: Any, path: str = 'model') -> list[str]:
    """Return the command-line options that start all parts of a model from random weights."""
    if isinstance(model, (list, tuple)):
        model = dict(enumerate(model))
    if not isinstance(model, dict):
        return []
    if pretrained_source(SimpleNamespace(init_cfg=model.get('init_cfg'))):
        return [f'{path}.init_cfg=None']
    return [
        o for key, value in model.items() for o in random_weight_options(value, f'{path}.{key}')
    ]
