"""Trains in mixed precision on a CPU, which mmengine's ``AmpOptimWrapper`` refuses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """``OptimWrapper`` whose forward passes run in bfloat16 under ``torch.autocast``.

    Weights, gradients and optimizer state stay float32. bfloat16 has the exponents of float32, so
    no loss scaling is needed. ``tools/train.py --amp`` selects it if there is no CUDA device.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in mixed precision; see ``OptimWrapper.optim_context``."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
