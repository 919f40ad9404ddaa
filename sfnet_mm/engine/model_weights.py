"""The weights that a training starts from: fetched only where needed, and never half."""

import logging
from types import SimpleNamespace
from typing import Any, Dict, List

import torch.nn as nn
from mmengine.logging import print_log

from sfnet_mm.models.backbones.pretrained import misfits, pretrained_source, read_weights


def pretrained_parts(model: nn.Module) -> Dict[str, nn.Module]:
    """The modules of a model whose ``init_cfg`` names a file, by the path of their config."""
    return {
        name: module
        for name, module in model.named_modules()
        if pretrained_source(module) is not None
    }


def forget_pretrained(model: nn.Module) -> None:
    """Leave out all weights of ``init_cfg``: a checkpoint with every tensor is loaded next."""
    for module in pretrained_parts(model).values():
        module.init_cfg = None


def check_host_parts(model: nn.Module) -> None:
    """Look at the files of the hosts' modules, which take what fits and go on.

    A file that lacks some tensors is a warning that names them; some hosts publish such files.

    Raises:
        OSError: A file cannot be read or fetched.
        ValueError: A file holds less than half of the tensors of a module.
    """
    for name, module in pretrained_parts(model).items():
        if getattr(module, 'takes_weights_whole', False):
            continue
        source = pretrained_source(module) or {}
        weights = read_weights(**source)
        own = module.state_dict()
        fitting = sum(k in weights and weights[k].shape == v.shape for k, v in own.items())
        problems = misfits(module, weights)
        if problems:
            text = f'{source["checkpoint"]} does not fit {name}: {"; ".join(problems)}'
            if 2 * fitting < len(own):
                raise ValueError(text)
            print_log(text, 'current', logging.WARNING)


def random_weights(model: Any, path: str = 'model') -> List[str]:
    """The options of the command line that start all parts of a config from random weights."""
    if isinstance(model, (list, tuple)):
        model = dict(enumerate(model))
    if not isinstance(model, dict):
        return []
    if pretrained_source(SimpleNamespace(init_cfg=model.get('init_cfg'))):
        return [f'{path}.init_cfg=None']
    return [o for key, value in model.items() for o in random_weights(value, f'{path}.{key}')]
