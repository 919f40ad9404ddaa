"""Runs panoptic models (K-Net) from the image to the panoptic map."""

import torch
import torch.nn as nn
from mmdet.structures import DetDataSample
from torch import Tensor

from sfnet_mm.deploy.model import pad_to_stride

from .export import PanopticGraph


class PanopticInferenceModel(PanopticGraph):
    """Runs backbone, neck and head, and merges masks into segments.

    Args:
        model: A model of :func:`sfnet_mm.panoptic.export.load_panoptic`.

    Attributes:
        channels_last: Whether images are laid out channels-last; weights do not change.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.channels_last = False

    def forward(self, image: Tensor) -> Tensor:
        """Map normalized images (N, 3, H, W) to (N, H, W), ``class + 1000 * instance``."""
        size = tuple(image.shape[2:])
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        image = pad_to_stride(image).contiguous(memory_format=layout)
        scores, masks = self.model.panoptic_head.predict(self.model.extract_feat(image), [])
        meta = dict(batch_input_shape=tuple(image.shape[2:]), img_shape=size, ori_shape=size)
        samples = [DetDataSample(metainfo=meta) for _ in range(len(image))]
        results = self.model.panoptic_fusion_head.predict(scores, masks, samples)
        return torch.cat([r['pan_results'].sem_seg for r in results])
