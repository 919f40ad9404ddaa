"""The training losses of K-Net: kernels are matched with segments stage by stage and compared.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, section 3.4.
"""

from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import reduce_mean
from torch import Tensor

from .knet_targets import KernelTargets, add_stuff, match_things, paint_masks, read_segments

MASK_COSTS = (
    dict(type='DiceCost', weight=4.0, pred_act=True, naive_dice=False, eps=1e-3),
    dict(type='MaskCost', weight=1.0),
)
CLASS_COST = dict(type='FocalLossCost', weight=2.0)


class KNetOutputs(NamedTuple):
    """The outputs of K-Net for a batch of B images; all masks are logits of stride 8.

    Fields: ``cls_scores``, the class logits (B, N + S, C) of each stage; ``masks``, those of the
    initial kernels (B, N, h, w) and of each stage (B, N + S, h, w); ``seg``, the dense class logits
    (B, C, h, w).
    """

    cls_scores: list[Tensor]
    masks: list[Tensor]
    seg: Tensor


def upsample(x: Tensor) -> Tensor:
    """Upsample maps of stride 8 to stride 4, the size of the losses and of the predicted masks."""
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Encode labels as one-hot rows; a background label becomes a row of zeros.

    mmdet's ``FocalLoss`` computes with rows in plain torch; with indices on a CUDA device it needs
    a compiled mmcv.
    """
    return F.one_hot(labels, num_classes + 1)[:, :num_classes]


class KNetCriterion(nn.Module):
    """Computes matching and losses of :class:`KNetPanopticHead`, which explains the arguments.

    Raises:
        ValueError: There are more kernels than the rank loss can index.
    """

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int,
        num_proposals: int,
        rank_ignore_index: int,
        loss_mask: dict,
        loss_dice: dict,
        loss_rank: dict | None,
        loss_seg: dict,
        loss_cls: dict,
        train_cfg: dict | None,
    ) -> None:
        super().__init__()
        num_kernels = num_proposals + num_stuff_classes
        with_rank = loss_rank is not None and num_stuff_classes > 0
        if with_rank and 0 <= rank_ignore_index < num_kernels:
            raise ValueError(
                f'KNetPanopticHead: num_proposals={num_proposals} and num_stuff_classes='
                f'{num_stuff_classes} make {num_kernels} kernels, but the rank loss marks pixels '
                f'of no kernel with {rank_ignore_index}: use at most {rank_ignore_index - 1} '
                'kernels, or rank_ignore_index=-100'
            )
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.num_classes = num_things_classes + num_stuff_classes
        self.num_proposals = num_proposals
        self.rank_ignore_index = rank_ignore_index
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_dice = MODELS.build(loss_dice)
        self.loss_rank = MODELS.build(loss_rank) if with_rank else None
        self.loss_seg = MODELS.build(loss_seg)
        self.loss_cls = MODELS.build(loss_cls)
        train_cfg = train_cfg or {}
        hungarian = dict(type='HungarianAssigner')
        self.initial_assigner = TASK_UTILS.build(
            train_cfg.get('initial_assigner', dict(hungarian, match_costs=list(MASK_COSTS)))
        )
        self.assigner = TASK_UTILS.build(
            train_cfg.get('assigner', dict(hungarian, match_costs=[CLASS_COST, *MASK_COSTS]))
        )

    def forward(self, outputs: KNetOutputs, samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses under the authors' names ``loss_rpn_*`` and ``s{stage}_loss_*``.

        Args:
            outputs: Outputs for a batch of B images.
            samples: Data samples with ``gt_instances`` and, for stuff, ``gt_sem_seg``.

        Raises:
            ValueError: See :func:`read_segments`.
        """
        masks = [upsample(m).float() for m in outputs.masks]
        size, device = masks[0].shape[2:], masks[0].device
        segments = [
            read_segments(sample, self.num_things_classes, self.num_stuff_classes, size, device)
            for sample in samples
        ]
        targets = [
            match_things(self.initial_assigner, m, things)
            for m, (things, _) in zip(masks[0], segments)
        ]
        losses = self._mask_losses('loss_rpn_', masks[0], targets)
        losses['loss_rpn_seg'] = self._seg_loss(upsample(outputs.seg).float(), targets, segments)
        for s, (cls_score, mask) in enumerate(zip(outputs.cls_scores, masks[1:])):
            if s > 0:
                # A stage is matched by the predictions of the one before; stage 0 keeps the match
                # of the initial masks, which have no class.
                targets = [
                    match_things(
                        self.assigner,
                        m[: self.num_proposals],
                        things,
                        c[: self.num_proposals, : self.num_things_classes],
                    )
                    for m, c, (things, _) in zip(masks[s], outputs.cls_scores[s - 1], segments)
                ]
            with_stuff = [
                add_stuff(t, stuff, self.num_proposals, self.num_things_classes)
                for t, (_, stuff) in zip(targets, segments)
            ]
            losses.update(self._mask_losses(f's{s}_loss_', mask, with_stuff))
            losses[f's{s}_loss_cls'] = self._cls_loss(cls_score.float(), with_stuff)
        return losses

    def _mask_losses(
        self, prefix: str, masks: Tensor, targets: list[KernelTargets]
    ) -> dict[str, Tensor]:
        """Compute mask, dice and rank loss of kernels (B, K, H / 4, W / 4)."""
        if not any(len(t.kernels) for t in targets):
            names = ['mask', 'dice'] + (['rank'] if self.loss_rank else [])
            return {prefix + name: masks.sum() * 0 for name in names}
        predicted = torch.cat([m[t.kernels] for m, t in zip(masks, targets)])
        wanted = torch.cat([t.masks for t in targets])
        losses = {
            prefix + 'mask': self.loss_mask(predicted, wanted),
            prefix + 'dice': self.loss_dice(predicted, wanted),
        }
        if self.loss_rank:
            ignored = self.rank_ignore_index
            owner = torch.stack([paint_masks(t.masks, t.kernels, ignored) for t in targets])
            losses[prefix + 'rank'] = self.loss_rank(masks, owner, ignore_index=ignored)
        return losses

    def _seg_loss(self, seg: Tensor, targets: list[KernelTargets], segments: list[tuple]) -> Tensor:
        """Compute the dense class loss (B, C, H / 4, W / 4); things cover stuff in the target."""
        maps = []
        for target, (_, stuff) in zip(targets, segments):
            canvas = paint_masks(stuff.masks, stuff.labels, self.num_classes)
            maps.append(paint_masks(target.masks, target.labels, self.num_classes, canvas))
        labels = torch.stack(maps).flatten()
        num_labeled = (labels < self.num_classes).sum().float().clamp(min=1)
        return self.loss_seg(
            seg.permute(0, 2, 3, 1).flatten(0, 2),
            _one_hot(labels, self.num_classes),
            avg_factor=num_labeled,
        )

    def _cls_loss(self, cls_score: Tensor, targets: list[KernelTargets]) -> Tensor:
        """Compute the class loss of kernels (B, K, C): the mean over positive ones of all ranks."""
        labels = cls_score.new_full(cls_score.shape[:2], self.num_classes, dtype=torch.long)
        for row, target in zip(labels, targets):
            row[target.kernels] = target.labels
        # Kernels of things learn only thing classes; a stuff kernel learns only its own class.
        num_things = self.num_things_classes
        weights = cls_score.new_zeros(cls_score.shape[1:])
        weights[: self.num_proposals, :num_things] = 1
        weights[self.num_proposals :, num_things:] = torch.eye(self.num_stuff_classes).to(weights)
        num_positive = reduce_mean((labels < self.num_classes).sum().float()).clamp(min=1)
        return self.loss_cls(
            cls_score.flatten(0, 1),
            _one_hot(labels.flatten(), self.num_classes),
            weights.repeat(len(cls_score), 1),
            avg_factor=num_positive,
        )
