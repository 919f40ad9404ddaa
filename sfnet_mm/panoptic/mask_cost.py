"""Matching cost that compares masks pixel by pixel.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855 (authors' ``MaskCost``).
"""

from typing import Any

import torch
from mmdet.models.task_modules.assigners.match_cost import BaseMatchCost
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor


@TASK_UTILS.register_module()
class MaskCost(BaseMatchCost):
    """The negative share of pixels on which a prediction and a segment agree.

    The cost is ``-(sum(p * t) + sum((1 - p) * (1 - t))) / (H * W)`` with ``p = sigmoid(logits)``.
    This is not a cross-entropy, so mmdet's ``CrossEntropyLossCost`` matches differently.

    Args:
        weight: Weight of this cost in the matching.
    """

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Compute the cost matrix (num_predictions, num_segments).

        Args:
            pred_instances: Instances with ``masks``, logits (num_predictions, H, W).
            gt_instances: Instances with ``masks``, targets in 0..1 (num_segments, H, W).
            *args: Not used.
            **kwargs: Not used.
        """
        predicted = pred_instances.masks.sigmoid().flatten(1)
        target = gt_instances.masks.flatten(1).to(predicted)
        agreement = torch.einsum('nc,mc->nm', predicted, target)
        agreement = agreement + torch.einsum('nc,mc->nm', 1 - predicted, 1 - target)
        return -self.weight * agreement / target.shape[1]
