"""Folds batch normalization into the convolution that runs directly before it.

``mmcv.cnn.fuse_conv_bn`` pairs layers by the order in which a module lists them, which is wrong
where they run in another order (``ConvModule(order=('norm', 'act', 'conv'))`` of DDRNet and
PIDNet). This module finds the pairs in a forward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


@dataclass
class Folding:
    """The result of :func:`fold_batchnorm`.

    Attributes:
        folded: Names of the normalization layers that were folded.
        left: Dict from the name of a layer that stays to the reason.
    """

    folded: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def fold_batchnorm(model: nn.Module, sample: Tensor) -> Folding:
    """Fold batch normalization in place; the output in evaluation mode stays the same.

    Args:
        model: Model in evaluation mode.
        sample: An input of the model, for the forward pass.

    Raises:
        ValueError: The model is in training mode.
    """
    if model.training:
        raise ValueError(
            'the model is in training mode, where batch normalization depends on the batch: '
            'call eval() first'
        )
    result = Folding()
    feeds, calls, inputs = _find_feeding_convolutions(model, sample)
    modules = dict(model.named_modules())
    for name, norm in modules.items():
        if not isinstance(norm, _BatchNorm):
            continue
        conv_name = feeds.get(name, '')
        reason = _reason_to_stay(norm, calls.get(name, 0), conv_name, calls.get(conv_name, 0))
        fused = None if reason else _fuse(modules[conv_name], norm, inputs[conv_name])
        if fused is None:
            result.left[name] = reason or f'does not fold into {type(modules[conv_name]).__name__}'
            continue
        replace_module(model, conv_name, fused)
        replace_module(model, name, nn.Identity())
        result.folded.append(name)
    return result


def _reason_to_stay(norm: _BatchNorm, calls: int, conv_name: str, conv_calls: int) -> str:
    """Return why a normalization layer cannot be folded, or an empty text if it can."""
    if calls == 0:
        return 'does not run'
    if norm.running_mean is None:
        return 'has no running statistics'
    if not conv_name:
        return 'does not follow a convolution whose output nothing else reads'
    if calls > 1 or conv_calls > 1:
        return 'is shared by several places'
    return ''


@torch.no_grad()
def _fuse(conv: nn.Module, norm: _BatchNorm, x: Tensor) -> nn.Module | None:
    """Fold a normalization into a convolution; None if the result computes something else from x.

    Some convolutions do not use their weight as it is, such as those that standardize it.
    """
    expected = norm(conv(x))
    try:
        fused = fuse_conv_bn_eval(conv, norm, isinstance(conv, nn.ConvTranspose2d))
        difference = (fused(x) - expected).abs().max()
    except (RuntimeError, TypeError):
        return None
    return fused if difference <= 1e-2 * expected.abs().max() else None


# These functions only inspect a tensor and do not read its values.
_INSPECTIONS = ('__get__', 'dim', 'size', 'stride', 'numel', 'is_contiguous', 'is_floating_point')


class _ReadCounter(TorchFunctionMode):
    """Counts the calls of torch functions that read each of the followed tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, str] = {}
        self.count: dict[str, int] = {}
        # An id is unique only as long as its tensor is alive.
        self.alive: list[Tensor] = []

    def follow(self, tensor: Tensor, name: str) -> None:
        self.made[id(tensor)] = name
        self.alive.append(tensor)

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if getattr(func, '__name__', '') not in _INSPECTIONS:
            for x in tree_leaves((args, kwargs)):
                name = self.made.get(id(x))
                if name is not None:
                    self.count[name] = self.count.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def _find_feeding_convolutions(
    model: nn.Module, sample: Tensor
) -> tuple[dict[str, str], dict[str, int], dict[str, Tensor]]:
    """Map each normalization layer to the convolution that only it reads.

    Returns:
        tuple: This map, the number of calls of each layer, and the last input of each convolution.
    """
    fed_by: dict[str, str] = {}
    calls: dict[str, int] = {}
    inputs: dict[str, Tensor] = {}
    reads = _ReadCounter()
    handles = []

    def note_feed(name: str):
        def hook(_module: nn.Module, args: tuple) -> None:
            calls[name] = calls.get(name, 0) + 1
            fed_by[name] = reads.made.get(id(args[0]), '')

        return hook

    def note_output(name: str):
        def hook(_module: nn.Module, args: tuple, output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            inputs[name] = args[0]
            reads.follow(output, name)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            handles.append(module.register_forward_pre_hook(note_feed(name)))
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            handles.append(module.register_forward_hook(note_output(name)))
    try:
        with torch.no_grad(), reads:
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
    feeds = {norm: conv for norm, conv in fed_by.items() if reads.count.get(conv) == 1}
    return feeds, calls, inputs


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule with this name by another module."""
    parent, _, leaf = name.rpartition('.')
    setattr(model.get_submodule(parent), leaf, module)
