"""Cross-entropy over the hardest pixels, averaged over those pixels.

Online hard example mining, https://arxiv.org/abs/1604.03540, as SFNet trains with it (SFNet paper,
section 3.5; authors' ``OhemCrossEntropy2dTensor``). mmseg's ``OHEMPixelSampler`` selects the same
pixels but divides their sum by *all* pixels. This reduces the loss, and so the gradient, by the
share of kept pixels: about 20-fold at the authors' setting.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import MODELS
from torch import Tensor

ClassWeight = str | Sequence[float] | np.ndarray | Tensor | None


@MODELS.register_module()
class HardPixelCrossEntropy(nn.Module):
    """The mean cross-entropy of the kept pixels of a batch.

    A pixel is kept if the probability of its true class is at most ``thresh``, or at most that of
    the ``min_kept``-th hardest valid pixel. If there are fewer valid pixels than ``min_kept``, all
    are kept.

    Args:
        thresh: Largest probability of the true class of a hard pixel.
        min_kept: Smallest number of kept pixels per call (the batch of one device), not per image.
        keep_ratio: If given, keep exactly this share of the valid pixels, the hardest ones, and
            ignore ``thresh`` and ``min_kept``: 0.1 is the paper's "10% hardest pixels".
        class_weight: Weight of each class, or a file that holds them (``.npy``, ``.json`` or
            ``.yaml``); the mean is then weighted by it. It is 0 if all kept pixels have weight 0.
        loss_weight: Factor of the loss.
        loss_name: Name in the log; it must begin with ``loss_`` to be summed into the loss.

    Raises:
        ValueError: ``thresh`` or ``keep_ratio`` is outside (0, 1], ``min_kept`` is negative, or
            ``class_weight`` is not a list of numbers from 0 on. In ``forward``, the number of class
            weights differs from that of the classes, the scores have only one channel, or a label
            is not a class.
        FileNotFoundError: The file of ``class_weight`` does not exist.
    """

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 100000,
        keep_ratio: float | None = None,
        class_weight: ClassWeight = None,
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
        self.class_weight = _read_class_weight(class_weight)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """The name of the loss in the log."""
        return self._loss_name

    def _kept(self, prob: Tensor) -> Tensor:
        """Select the pixels to keep; ``prob`` (P,) has the probability of each true class."""
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
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            cls_score: Logits (N, C, H, W).
            label: Classes (N, H, W).
            weight: Weight of each pixel (N, H, W), applied to the kept ones.
            ignore_index: Label of the pixels that do not count.
            **kwargs: Not used; mmseg's heads may pass other arguments.

        Returns:
            Tensor: A scalar, float32.
        """
        self._check(cls_score.shape[1], label, ignore_index)
        valid = label != ignore_index
        # Half precision cannot order probabilities near the threshold.
        log_prob = F.log_softmax(cls_score.float(), dim=1)
        label = torch.where(valid, label, torch.zeros_like(label)).long()
        log_prob = log_prob.gather(1, label.unsqueeze(1)).squeeze(1)[valid]
        # NaN counts as hardest, so that the loss shows that a training has diverged.
        kept = self._kept(log_prob.detach().exp().nan_to_num(0.0))
        pixel_weight = torch.ones_like(log_prob)
        if self.class_weight is not None:
            pixel_weight = log_prob.new_tensor(self.class_weight)[label[valid]]
        loss = -log_prob[kept] * pixel_weight[kept]
        if weight is not None:
            loss = loss * weight[valid][kept]
        total = pixel_weight[kept].sum()
        # Without any pixel that counts, the sum of the losses is 0, and so is their mean.
        return self.loss_weight * loss.sum() / torch.where(total > 0, total, torch.ones_like(total))

    def _check(self, num_classes: int, label: Tensor, ignore_index: int) -> None:
        """Raise a ValueError if the scores do not fit the class weights or the label.

        This is checked before the labels are used as indices: on CUDA, an index outside the classes
        ends in a device-side assertion, after which the process cannot use the device.
        """
        if num_classes == 1:
            raise ValueError(
                'HardPixelCrossEntropy: the scores have num_classes=1 channel, whose softmax is 1 '
                'everywhere: set out_channels=2, or use CrossEntropyLoss(use_sigmoid=True)'
            )
        if self.class_weight is not None and len(self.class_weight) != num_classes:
            raise ValueError(
                f'HardPixelCrossEntropy: class_weight has {len(self.class_weight)} numbers, but '
                f'the scores have num_classes={num_classes} channels: give one for each class'
            )
        outside = (label != ignore_index) & ((label < 0) | (label >= num_classes))
        if outside.any():
            ids = label[outside].unique().tolist()
            shown = ', '.join(map(str, ids[:8])) + (', ...' if len(ids) > 8 else '')
            raise ValueError(
                f'HardPixelCrossEntropy: the label holds {shown}, but num_classes={num_classes} '
                f'allows 0..{num_classes - 1} and ignore_index={ignore_index}: do the masks hold '
                'other ids than train ids (labelIds, 0 and 255), or does the data set lack '
                'reduce_zero_label=True?'
            )


def _read_class_weight(class_weight: ClassWeight) -> list[float] | None:
    """Return the weights as a list; read them if a path is given."""
    if class_weight is None:
        return None
    named = f'HardPixelCrossEntropy: class_weight={class_weight!r}'
    if isinstance(class_weight, str) and class_weight.endswith(('.pkl', '.pickle')):
        raise ValueError(f'{named} is a pickle, which may run code: save it as .npy or .json')
    try:
        weights = np.asarray(get_class_weight(class_weight), dtype=np.float64)
    except (TypeError, ValueError) as error:
        reason = str(error).split('\n')[0]
        raise ValueError(f'{named} holds no list of numbers: {reason}') from None
    if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError(f'{named} is not a list of finite numbers from 0 on, one for each class')
    return weights.tolist()
