"""Runs a config and a checkpoint in torch."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..export.metadata import metadata
from ..inference.memory import reuse_memory
from ..inference.optimize import optimize
from ..model import load_model
from .base import Runtime


class TorchRuntime(Runtime):
    """A model that torch runs in its inference form (:func:`sfnet_mm.deploy.inference.optimize`).

    On the CPU, the process then keeps its memory between images
    (:func:`sfnet_mm.deploy.inference.memory.reuse_memory`).

    Args:
        config: Path of the config.
        checkpoint: Path or address of the checkpoint; None leaves the weights random.
        device: Device of the model, such as ``'cpu'`` or ``'cuda:0'``.
        compiled: Whether to run the model by ``torch.compile``, on CUDA with CUDA graphs.

    Raises:
        FileNotFoundError, ValueError: See :func:`sfnet_mm.deploy.load_model` and
            :func:`sfnet_mm.deploy.optimize`.
    """

    name = 'torch'

    def __init__(
        self, config: str, checkpoint: str | None, device: str = 'cpu', compiled: bool = False
    ) -> None:
        model = load_model(config, checkpoint, device)
        form = optimize(model, output='argmax', verbose=False)
        super().__init__(metadata(model, form))
        # This module has the same layers but does not choose the classes.
        logits_form = copy.copy(form)
        logits_form.output = 'logits'
        self.model: Callable[[Tensor], Tensor] = form
        self.logits_model: Callable[[Tensor], Tensor] = logits_form
        self.device = torch.device(device)
        if self.device.type == 'cpu':
            reuse_memory()
        if compiled:
            mode = 'reduce-overhead' if self.device.type == 'cuda' else 'default'
            self.model = torch.compile(self.model, mode=mode, dynamic=False)
            self.logits_model = torch.compile(self.logits_model, mode=mode, dynamic=False)

    @torch.inference_mode()
    def infer(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer`."""
        return self.model(torch.from_numpy(data).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def infer_logits(self, data: np.ndarray) -> np.ndarray:
        """See :meth:`Runtime.infer_logits`."""
        return self.logits_model(torch.from_numpy(data).to(self.device)).cpu().numpy()
