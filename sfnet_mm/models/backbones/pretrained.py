"""Loads the ImageNet weights of a backbone completely, or says in one line which do not fit.

mmengine's ``PretrainedInit`` loads the weights that fit and leaves the rest random.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from sfnet_mm.utils.state_dicts import compare_tensors


class PretrainedBackbone:
    """Mixin of a backbone that loads all weights of ``init_cfg``, or raises.

    It comes before the host's class: ``class SFResNet(PretrainedBackbone, ResNetV1c)``.

    Attributes:
        requires_all_weights: Tells :mod:`sfnet_mm.engine.model_weights` that all weights must fit.
        ignores_other_tensors: Whether the file may have additional tensors, such as a classifier.
        weights_source: Advice on how to get the file, which ends the error if it does not exist.
    """

    requires_all_weights = True
    ignores_other_tensors = True
    weights_source = ''

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Convert the weights of a file to the names and shapes of this backbone."""
        return weights

    def init_weights(self) -> None:
        """Initialize as ``BaseModule`` does, but require that all pretrained weights fit.

        Raises:
            FileNotFoundError: There is no such file. The message says where to get it.
            ValueError: See :meth:`check_weights`.
        """
        source = pretrained_source(self)
        if source is None:
            super().init_weights()  # type: ignore[misc]
        elif not self._is_init:
            try:
                weights = read_weights(**source)
            except FileNotFoundError as e:
                hint = f'; {self.weights_source}' if self.weights_source else ''
                raise FileNotFoundError(f'{e}{hint.format(**source)}') from None
            weights = self.adapt_weights(weights)
            self.check_weights(weights, source['checkpoint'])
            self.load_state_dict(  # type: ignore[attr-defined]
                {k: v for k, v in weights.items() if k in self.state_dict()}, strict=False
            )
            self._is_init = True

    def check_weights(self, weights: Mapping[str, Tensor], source: str) -> None:
        """Check that weights have all tensors of the backbone; ``source`` names them in the error.

        Raises:
            ValueError: A tensor is missing or has another shape, or there are additional tensors
                that the backbone does not ignore.
        """
        problems = describe_mismatches(  # type: ignore[arg-type]
            self, weights, report_unknown=not self.ignores_other_tensors
        )
        if problems:
            name = f'{type(self).__name__} {getattr(self, "arch", "")}'.rstrip()
            raise ValueError(
                f'{source} does not fit {name}: {"; ".join(problems)}: name the weights of this '
                'backbone'
            )


def pretrained_source(module: Any) -> dict[str, Any] | None:
    """Return ``checkpoint`` and ``prefix`` of an ``init_cfg``; None if it names no file."""
    init_cfg = getattr(module, 'init_cfg', None)
    for part in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
        if isinstance(part, Mapping) and part.get('type') == 'Pretrained':
            return dict(checkpoint=part['checkpoint'], prefix=part.get('prefix'))
    return None


def read_weights(checkpoint: str, prefix: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name.

    Args:
        checkpoint: Path or address of the file.
        prefix: Read only tensors with names ``prefix.NAME``, as ``NAME``.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The address cannot be fetched.
        ValueError: The file is not a checkpoint.
    """
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    state = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else {}
    start = f'{prefix.rstrip(".")}.' if prefix else ''
    state = {re.sub(r'^module\.', '', name): value for name, value in state.items()}
    return {
        name[len(start) :]: value
        for name, value in state.items()
        if name.startswith(start) and isinstance(value, Tensor)
    }


def describe_mismatches(
    module: nn.Module, weights: Mapping[str, Tensor], report_unknown: bool = False
) -> list[str]:
    """Describe how ``weights`` differ from those of a module; the list is empty if all fit.

    The counters of batch normalization may be missing, as in old checkpoints.

    Args:
        module: The module.
        weights: Tensors by their names in the module.
        report_unknown: Whether tensors that the module does not have are named, too.
    """
    own = module.state_dict()
    missing, unknown, shapes = compare_tensors(own, weights).values()
    total = sum(not name.endswith('num_batches_tracked') for name in own)
    found = []
    if missing:
        found.append(f'{len(missing)} of {total} tensors are missing ({_first(missing)})')
    if shapes:
        name = shapes[0]
        found.append(
            f'{len(shapes)} of {total} tensors are of another shape ({_first(shapes)}: '
            f'{tuple(weights[name].shape)} in the file, {tuple(own[name].shape)} here)'
        )
    if report_unknown and unknown:
        found.append(f'{len(unknown)} tensors of the file are unknown ({_first(unknown)})')
    return found


def _first(names: list[str], count: int = 3) -> str:
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')
