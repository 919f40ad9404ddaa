"""Parameters and multiply-adds of a model, counted without computing anything."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmseg.models import EncoderDecoder
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sfnet_mm.deploy.inference import InferenceModel
from sfnet_mm.deploy.model import input_channels


def multiply_adds(call: Callable[[], Any]) -> int:
    """Multiply-adds of the convolutions and matrix products of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


def complexity(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Parameters and multiply-adds of what runs at inference; computes nothing."""
    form = what_runs(model)
    # Not the device "meta": autocast, which K-Net switches off in places, does not know it.
    # Nor without gradients, for which some convolutions pad their channels.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.enable_grad():
        form = form.to_empty(device='cpu')
        image = torch.empty(1, input_channels(model), *size)
        count = multiply_adds(lambda: form(image))
    return parameters(form), count


def what_runs(model: nn.Module) -> nn.Module:
    """A copy of a model without what inference does not use."""
    kind = InferenceModel
    if not isinstance(model, EncoderDecoder):
        from sfnet_mm.panoptic.export import PanopticGraph as kind
    return kind(copy.deepcopy(model)).eval()


def parameters(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())
