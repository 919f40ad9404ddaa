"""Panoptic models (K-Net) as a benchmark times them: from the image to the panoptic map."""

import copy

import torch
import torch.nn as nn
from torch import Tensor

from .folding import fold_batchnorm
from .model import input_channels
from .panoptic_export import PanopticGraph, pad_to_stride
from .release_form import to_release_form


class PanopticInferenceModel(PanopticGraph):
    """Backbone, neck and head, and the merging of masks into segments.

    Args:
        model: As :func:`sfnet_mm.deploy.panoptic_export.load_panoptic` gives it.

    Attributes:
        memory_format: Of the images; the layout of the weights does not change.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.memory_format = torch.contiguous_format

    def forward(self, image: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to maps (N, H, W) of ``class + 1000 * instance``."""
        from mmdet.structures import DetDataSample

        size = tuple(image.shape[2:])
        image = pad_to_stride(image).contiguous(memory_format=self.memory_format)
        scores, masks = self.model.panoptic_head.predict(self.model.extract_feat(image), [])
        meta = dict(batch_input_shape=tuple(image.shape[2:]), img_shape=size, ori_shape=size)
        samples = [DetDataSample(metainfo=meta) for _ in range(len(image))]
        results = self.model.panoptic_fusion_head.predict(scores, masks, samples)
        return torch.cat([r['pan_results'].sem_seg for r in results])


def panoptic_form(model: nn.Module, backend: str) -> PanopticInferenceModel:
    """The form of a panoptic model that a backend of the benchmark runs.

    Args:
        model: Not changed.
        backend: ``release``: the authors' composition of flow alignment, nothing folded; ``torch``
            or ``ext``: batch normalization folded, channels_last.

    Raises:
        ValueError: Another backend.
    """
    form = PanopticInferenceModel(copy.deepcopy(model)).eval().requires_grad_(False)
    if backend == 'release':
        to_release_form(form.model)
    elif backend in ('torch', 'ext'):
        sample = torch.rand(1, input_channels(model), 128, 128)
        fold_batchnorm(form, sample.to(next(form.parameters()).device))
        form.memory_format = torch.channels_last
        form.to(memory_format=torch.channels_last)
    else:
        raise ValueError('panoptic models are timed with post-processing: on release, torch, ext')
    return form
