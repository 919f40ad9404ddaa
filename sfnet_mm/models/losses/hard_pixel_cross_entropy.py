"""Cross-entropy over the hardest pixels, averaged over those pixels.

Online hard example mining, https://arxiv.org/abs/1604.03540, as SFNet trains with it (SFNet paper,
section 4.1; authors' ``OhemCrossEntropy2dTensor``). mmseg's ``OHEMPixelSampler`` selects the same
pixels but then divides their sum by *all* pixels, which makes the loss, and so the gradient,
smaller by the share of kept pixels: about 20-fold at the release's setting.
"""

import math
from typing import List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class HardPixelCrossEntropy(nn.Module):
    """Mean cross-entropy of the kept pixels of a batch.

    A pixel is kept if the probability of its true class is at most ``thresh``, or at most that of
    the ``min_kept``-th hardest valid pixel. With fewer valid pixels than ``min_kept`` all are kept.

    Args:
        thresh: Probability of the true class at or under which a pixel is hard.
        min_kept: Pixels kept at least, per call (the batch of one device), not per image.
        keep_ratio: If given, keep exactly this share of the valid pixels, the hardest ones, and
            ignore ``thresh`` and ``min_kept``: 0.1 is the paper's "10% hardest pixels".
        class_weight: Weight of each class; the mean is then weighted by it.
        loss_weight: Factor of the loss.
        loss_name: Name in the log; it must begin with ``loss_`` to be summed into the loss.

    Raises:
        ValueError: ``thresh`` or ``keep_ratio`` outside (0, 1], or a negative ``min_kept``.
    """

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 100000,
        keep_ratio: Optional[float] = None,
        class_weight: Optional[List[float]] = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__()
        if not 0 < thresh <= 1:
            raise ValueError(f'HardPixelCrossEntropy: thresh={thresh} is not in (0, 1]')
        if keep_ratio is not None and not 0 < keep_ratio <= 1:
            raise ValueError(f'HardPixelCrossEntropy: keep_ratio={keep_ratio} is not in (0, 1]')
        if min_kept < 0:
            raise ValueError(f'HardPixelCrossEntropy: min_kept={min_kept} is negative')
        self.thresh = thresh
        self.min_kept = min_kept
        self.keep_ratio = keep_ratio
        self.class_weight = class_weight
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name of the loss in the log."""
        return self._loss_name

    def _kept(self, prob: Tensor) -> Tensor:
        """Which of the valid pixels are kept; ``prob``: (P,), P > 0, of their true classes."""
        if self.keep_ratio is not None:
            count = math.ceil(self.keep_ratio * len(prob))
            kept = torch.zeros_like(prob, dtype=torch.bool)
            kept[prob.topk(count, largest=False).indices] = True
            return kept
        count = min(self.min_kept, len(prob))
        kth_hardest = prob.kthvalue(count).values if count else prob.new_zeros(())
        return prob <= kth_hardest.clamp(min=self.thresh)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Optional[Tensor] = None,
        ignore_index: int = 255,
        **kwargs,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            cls_score: Logits (N, C, H, W).
            label: Classes (N, H, W).
            weight: Weight of each pixel (N, H, W), applied to the kept ones.
            ignore_index: Label of the pixels that do not count.
            **kwargs: Not used; mmseg's heads may pass more.
        """
        valid = label != ignore_index
        if not valid.any():
            return cls_score.sum() * 0
        # Half precision cannot order probabilities near the threshold.
        log_prob = F.log_softmax(cls_score.float(), dim=1)
        label = torch.where(valid, label, torch.zeros_like(label)).long()
        log_prob = log_prob.gather(1, label.unsqueeze(1)).squeeze(1)[valid]
        kept = self._kept(log_prob.detach().exp())
        pixel_weight = torch.ones_like(log_prob)
        if self.class_weight is not None:
            pixel_weight = log_prob.new_tensor(self.class_weight)[label[valid]]
        loss = -log_prob[kept] * pixel_weight[kept]
        if weight is not None:
            loss = loss * weight[valid][kept]
        return self.loss_weight * loss.sum() / pixel_weight[kept].sum()
