"""Counts parameters and multiply-adds of a model without computing anything."""

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
    """Count the multiply-adds of the convolutions and matrix products of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


def complexity(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Count the parameters and multiply-adds of the layers that run at inference."""
    form = without_training_layers(model)
    # The device "meta" cannot be used: autocast, which K-Net switches off in places, lacks it.
    # Gradients stay enabled, because without them some convolutions pad their channels.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.enable_grad():
        form = form.to_empty(device='cpu')
        image = torch.empty(1, input_channels(model), *size)
        count = multiply_adds(lambda: form(image))
    return parameters(form), count


def without_training_layers(model: nn.Module) -> nn.Module:
    """Copy a model without the layers that only training uses."""
    kind = InferenceModel
    if not isinstance(model, EncoderDecoder):
        from sfnet_mm.panoptic.export import PanopticGraph as kind
    return kind(copy.deepcopy(model)).eval()


def parameters(module: nn.Module) -> int:
    """Count the parameters of a module."""
    return sum(p.numel() for p in module.parameters())
