"""K-Net's head for panoptic and instance segmentation.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, sections 3.2 to 3.4. It
joins the authors' ``ConvKernelHead`` (initial kernels) and ``KernelIterHead`` (their refinement),
so that the published weights load after their prefixes ``rpn_head.`` and ``roi_head.`` have become
``panoptic_head.`` (``tools/model_converters/knet2mmdet.py``).
"""

import logging
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import reduce_mean
from mmengine.logging import print_log
from mmengine.model import BaseModule, bias_init_with_prob, normal_init
from torch import Tensor

from .kernel_update_head import PanopticKernelUpdateHead, gather_group_features
from .knet_targets import KernelTargets, add_stuff, match_things, paint, read_segments
from .localization_fpn import LocalizationFPN

MASK_COSTS = (
    dict(type='DiceCost', weight=4.0, pred_act=True, naive_dice=False, eps=1e-3),
    dict(type='MaskCost', weight=1.0),
)
CLASS_COST = dict(type='FocalLossCost', weight=2.0)


class KNetOutputs(NamedTuple):
    """Of one batch of B images; all masks are logits of stride 8.

    Fields: ``cls_scores``, class logits (B, N + S, C) of each stage; ``masks``, of the initial
    kernels (B, N, h, w) and of each stage (B, N + S, h, w); ``seg``, dense class logits
    (B, C, h, w).
    """

    cls_scores: List[Tensor]
    masks: List[Tensor]
    seg: Tensor


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """One row per label, empty for background.

    Given rows, mmdet's ``FocalLoss`` computes in plain torch; given indices on a CUDA device, it
    needs an mmcv that was compiled for it.
    """
    return F.one_hot(labels, num_classes + 1)[:, :num_classes]


@MODELS.register_module()
class KNetPanopticHead(BaseModule):
    """N kernels that are matched to things, one kernel for each stuff class, refined in stages.

    Use it as ``panoptic_head`` of ``mmdet.MaskFormer``. With ``num_stuff_classes=0`` it segments
    instances only: no stuff kernels, no rank loss, no semantic map needed.

    Args:
        num_things_classes: Classes ``0 .. T - 1``.
        num_stuff_classes: Classes ``T .. T + S - 1``.
        num_proposals: Kernels for things, N.
        num_stages: Refinements.
        in_channels: Channels of the four levels of the neck, of strides 4 to 32.
        num_heads: Heads of the attention between kernels.
        feedforward_channels: Of the stages.
        norm_cfg: Normalization of the convolutions.
        rank_ignore_index: Marks the pixels that no kernel covers in the rank loss; no index of a
            kernel may reach it.
        loss_mask: Binary cross entropy on the masks of positive kernels.
        loss_dice: Dice loss on the same.
        loss_rank: Cross entropy over the kernels at each pixel; None for none.
        loss_seg: Focal loss on the dense class map of the initial kernels.
        loss_cls: Focal loss on the class of each kernel.
        train_cfg: May hold ``initial_assigner`` (costs of masks only) and ``assigner``; the
            published ones by default.
        test_cfg: Not used here, see :class:`KNetFusionHead`.
        init_cfg: As in ``BaseModule``; replaces the published initialization.

    Raises:
        ValueError: No thing class, no proposal or stage, or more kernels than the rank loss can
            index.
    """

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int,
        num_proposals: int = 100,
        num_stages: int = 3,
        in_channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        norm_cfg: Dict = dict(type='GN', num_groups=32),
        rank_ignore_index: int = 255,
        loss_mask: Dict = dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_dice: Dict = dict(type='DiceLoss', loss_weight=4.0),
        loss_rank: Optional[Dict] = dict(type='CrossEntropyLoss', loss_weight=0.1),
        loss_seg: Dict = dict(type='FocalLoss', use_sigmoid=True),
        loss_cls: Dict = dict(type='FocalLoss', use_sigmoid=True, loss_weight=2.0),
        train_cfg: Optional[Dict] = None,
        test_cfg: Optional[Dict] = None,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_things_classes < 1 or num_stuff_classes < 0 or num_proposals < 1 or num_stages < 1:
            raise ValueError(
                f'KNetPanopticHead: num_things_classes={num_things_classes}, num_proposals='
                f'{num_proposals} and num_stages={num_stages} must be 1 or more, num_stuff_classes='
                f'{num_stuff_classes} 0 or more'
            )
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

        self.localization_fpn = LocalizationFPN(in_channels, norm_cfg)
        self.loc_convs = nn.ModuleList([ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)])
        self.seg_convs = nn.ModuleList([ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)])
        self.init_kernels = nn.Conv2d(in_channels, num_proposals, 1, bias=False)
        self.conv_seg = nn.Conv2d(in_channels, self.num_classes, 1)
        self.mask_head = nn.ModuleList(
            PanopticKernelUpdateHead(self.num_classes, in_channels, num_heads, feedforward_channels)
            for _ in range(num_stages)
        )

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
        self._foreign_checkpoint: Optional[str] = None

    def init_weights(self) -> None:
        """The published initialization, unless ``init_cfg`` says another."""
        super().init_weights()
        if self.init_cfg is not None:
            return
        for root in (self.localization_fpn, self.loc_convs, self.seg_convs):
            for module in root.modules():
                if isinstance(module, nn.Conv2d):
                    normal_init(module, std=0.01)
        normal_init(self.conv_seg, std=0.01, bias=bias_init_with_prob(0.01))
        normal_init(self.init_kernels, std=1)
        for stage in self.mask_head:
            stage.init_weights()

    def _load_from_state_dict(self, state_dict: Dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if f'{prefix}init_kernels.weight' in state_dict:
            self._foreign_checkpoint = None
            return
        self._foreign_checkpoint = (
            f'the checkpoint holds nothing of {prefix}*, so it is a semantic model or a K-Net '
            'before tools/model_converters/knet2mmdet.py: convert it, or train before testing'
        )
        print_log(f'KNetPanopticHead: {self._foreign_checkpoint}', 'current', logging.WARNING)

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: Optional[SampleList] = None
    ) -> KNetOutputs:
        """Logits of the initial kernels and of every stage.

        Args:
            x: Levels (B, in_channels, H / s, W / s) of stride s = 4, 8, 16, 32.
            batch_data_samples: Not used.
        """
        loc_feat, seg_feat = self.localization_fpn(x)
        loc_feat = self.loc_convs[0](loc_feat)
        seg_feat = self.seg_convs[0](seg_feat)
        features = loc_feat + seg_feat
        seg = self.conv_seg(seg_feat)
        masks = [self.init_kernels(loc_feat)]
        kernels = self.init_kernels.weight.flatten(1) + gather_group_features(masks[0], features)
        stage_masks = masks[0]
        if self.num_stuff_classes:
            # Stuff starts from the dense classifier: its weights are kernels, its maps are masks.
            stuff_kernels = self.conv_seg.weight[self.num_things_classes :].flatten(1)
            kernels = torch.cat([kernels, stuff_kernels.expand(len(kernels), -1, -1)], dim=1)
            stage_masks = torch.cat([stage_masks, seg[:, self.num_things_classes :]], dim=1)
        cls_scores = []
        for stage in self.mask_head:
            cls_score, stage_masks, kernels = stage(features, kernels, stage_masks)
            cls_scores.append(cls_score)
            masks.append(stage_masks)
        return KNetOutputs(cls_scores, masks, seg)

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses, under the published names ``loss_rpn_*`` and ``s{stage}_loss_*``.

        Args:
            x: As in :meth:`forward`.
            batch_data_samples: With ``gt_instances`` and, for stuff, ``gt_sem_seg``.

        Raises:
            ValueError: See :func:`read_segments`.
        """
        self._foreign_checkpoint = None
        outputs = self(x)
        masks = [_upsample(m).float() for m in outputs.masks]
        segments = [
            read_segments(
                sample,
                self.num_things_classes,
                self.num_stuff_classes,
                masks[0].shape[2:],
                masks[0].device,
            )
            for sample in batch_data_samples
        ]
        targets = [
            match_things(self.initial_assigner, m, things)
            for m, (things, _) in zip(masks[0], segments)
        ]
        losses = self._mask_losses('loss_rpn_', masks[0], targets)
        losses['loss_rpn_seg'] = self._seg_loss(_upsample(outputs.seg).float(), targets, segments)
        for s, (cls_score, mask) in enumerate(zip(outputs.cls_scores, masks[1:])):
            if s > 0:
                # Each stage is matched by what the stage before predicted; stage 0 keeps the match
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
        self, prefix: str, masks: Tensor, targets: List[KernelTargets]
    ) -> Dict[str, Tensor]:
        """Mask, dice and rank loss of kernels (B, K, H / 4, W / 4)."""
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
            owner = torch.stack(
                [paint(t.masks, t.kernels, self.rank_ignore_index) for t in targets]
            )
            losses[prefix + 'rank'] = self.loss_rank(
                masks, owner, ignore_index=self.rank_ignore_index
            )
        return losses

    def _seg_loss(self, seg: Tensor, targets: List[KernelTargets], segments: List[Tuple]) -> Tensor:
        """Dense class loss of (B, C, H / 4, W / 4); things are painted over stuff."""
        maps = []
        for target, (_, stuff) in zip(targets, segments):
            canvas = paint(stuff.masks, stuff.labels, self.num_classes)
            maps.append(paint(target.masks, target.labels, self.num_classes, canvas))
        labels = torch.stack(maps).flatten()
        num_labelled = (labels < self.num_classes).sum().float().clamp(min=1)
        return self.loss_seg(
            seg.permute(0, 2, 3, 1).flatten(0, 2),
            _one_hot(labels, self.num_classes),
            avg_factor=num_labelled,
        )

    def _cls_loss(self, cls_score: Tensor, targets: List[KernelTargets]) -> Tensor:
        """Class loss of kernels (B, K, C), normalized by the positive kernels of all ranks."""
        labels = cls_score.new_full(cls_score.shape[:2], self.num_classes, dtype=torch.long)
        for row, target in zip(labels, targets):
            row[target.kernels] = target.labels
        # Kernels of things learn thing classes only, a stuff kernel its own class only.
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

    def predict(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> Tuple[Tensor, Tensor]:
        """Class logits (B, N + S, C) and mask *probabilities* (B, N + S, H / 4, W / 4).

        The published code interpolates probabilities, not logits, to the size of the image;
        :class:`KNetFusionHead` does that piece by piece.

        Raises:
            ValueError: The weights came from a checkpoint of another kind of model.
        """
        if self._foreign_checkpoint:
            raise ValueError(f'KNetPanopticHead: {self._foreign_checkpoint}')
        outputs = self(x)
        return outputs.cls_scores[-1], _upsample(outputs.masks[-1]).float().sigmoid()
