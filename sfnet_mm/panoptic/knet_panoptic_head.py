"""K-Net's head for panoptic and instance segmentation.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, sections 3.2 to 3.4. It
joins the authors' ``ConvKernelHead`` (initial kernels) and ``KernelIterHead`` (their refinement),
so that the authors' weights load after their prefixes ``rpn_head.`` and ``roi_head.`` have become
``panoptic_head.`` (``tools/model_converters/knet2mmdet.py``).
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.logging import print_log
from mmengine.model import BaseModule, bias_init_with_prob, normal_init
from torch import Tensor

from sfnet_mm.utils.arguments import check_least

from .kernel_update_head import PanopticKernelUpdateHead, gather_group_features
from .knet_criterion import KNetCriterion, KNetOutputs, upsample
from .localization_fpn import LocalizationFPN


@MODELS.register_module()
class KNetPanopticHead(BaseModule):
    """Refines N kernels, which are matched to things, and one kernel for each stuff class.

    Use it as ``panoptic_head`` of ``mmdet.MaskFormer``. With ``num_stuff_classes=0`` it segments
    instances only. It then has no stuff kernels and no rank loss, and needs no semantic map.

    Args:
        num_things_classes: Classes ``0 .. T - 1``.
        num_stuff_classes: Classes ``T .. T + S - 1``.
        num_proposals: Kernels for things, N.
        num_stages: Number of refinement stages.
        in_channels: Channels of the four levels of the neck, of strides 4 to 32.
        num_heads: Heads of the attention between kernels.
        feedforward_channels: Hidden channels of the feed-forward layers of the stages.
        norm_cfg: Normalization of the convolutions.
        rank_ignore_index: Label in the rank loss of the pixels that no kernel covers; it
            must be negative or at least the number of kernels.
        loss_mask: Binary cross-entropy on the masks of positive kernels.
        loss_dice: Dice loss on the same masks.
        loss_rank: Cross-entropy over the kernels at each pixel; None leaves it out.
        loss_seg: Focal loss on the dense class map of the initial kernels.
        loss_cls: Focal loss on the class of each kernel.
        train_cfg: May hold ``initial_assigner`` (costs of masks only) and ``assigner``; the
            authors' by default.
        test_cfg: Not used here; see :class:`KNetFusionHead`.
        init_cfg: See ``BaseModule``; it replaces the authors' initialization.

    Raises:
        ValueError: There is no thing class, no proposal or no stage, or there are more kernels than
            the rank loss can index.
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
        norm_cfg: dict = dict(type='GN', num_groups=32),
        rank_ignore_index: int = 255,
        loss_mask: dict = dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_dice: dict = dict(type='DiceLoss', loss_weight=4.0),
        loss_rank: dict | None = dict(type='CrossEntropyLoss', loss_weight=0.1),
        loss_seg: dict = dict(type='FocalLoss', use_sigmoid=True),
        loss_cls: dict = dict(type='FocalLoss', use_sigmoid=True, loss_weight=2.0),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        name = 'KNetPanopticHead'
        check_least(name, 1, num_things_classes=num_things_classes, num_proposals=num_proposals)
        check_least(name, 1, num_stages=num_stages)
        check_least(name, 0, num_stuff_classes=num_stuff_classes)
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.num_classes = num_things_classes + num_stuff_classes
        self.num_proposals = num_proposals

        self.localization_fpn = LocalizationFPN(in_channels, norm_cfg)
        self.loc_convs = nn.ModuleList([ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)])
        self.seg_convs = nn.ModuleList([ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)])
        self.init_kernels = nn.Conv2d(in_channels, num_proposals, 1, bias=False)
        self.conv_seg = nn.Conv2d(in_channels, self.num_classes, 1)
        self.mask_head = nn.ModuleList(
            PanopticKernelUpdateHead(self.num_classes, in_channels, num_heads, feedforward_channels)
            for _ in range(num_stages)
        )

        self.criterion = KNetCriterion(
            num_things_classes,
            num_stuff_classes,
            num_proposals,
            rank_ignore_index,
            loss_mask,
            loss_dice,
            loss_rank,
            loss_seg,
            loss_cls,
            train_cfg,
        )
        self._checkpoint_error: str | None = None

    def init_weights(self) -> None:
        """Initialize as the authors do, unless ``init_cfg`` is given."""
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

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if f'{prefix}init_kernels.weight' in state_dict:
            self._checkpoint_error = None
            return
        self._checkpoint_error = (
            f'the checkpoint holds nothing of {prefix}*, so it is a semantic model or a K-Net '
            'before tools/model_converters/knet2mmdet.py: convert it, or train before testing'
        )
        print_log(f'KNetPanopticHead: {self._checkpoint_error}', 'current', logging.WARNING)

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: SampleList | None = None
    ) -> KNetOutputs:
        """Compute the logits of the initial kernels and of every stage.

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
            # For stuff, the weights of the dense classifier are the kernels, and its maps are the
            # masks.
            stuff_kernels = self.conv_seg.weight[self.num_things_classes :].flatten(1)
            kernels = torch.cat([kernels, stuff_kernels.expand(len(kernels), -1, -1)], dim=1)
            stage_masks = torch.cat([stage_masks, seg[:, self.num_things_classes :]], dim=1)
        cls_scores = []
        for stage in self.mask_head:
            cls_score, stage_masks, kernels = stage(features, kernels, stage_masks)
            cls_scores.append(cls_score)
            masks.append(stage_masks)
        return KNetOutputs(cls_scores, masks, seg)

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses under the authors' names ``loss_rpn_*`` and ``s{stage}_loss_*``.

        Args:
            x: See :meth:`forward`.
            batch_data_samples: Data samples with ``gt_instances`` and, for stuff, ``gt_sem_seg``.

        Raises:
            ValueError: See :func:`read_segments`.
        """
        self._checkpoint_error = None
        return self.criterion(self(x), batch_data_samples)

    def predict(self, x: Sequence[Tensor], batch_data_samples: SampleList) -> tuple[Tensor, Tensor]:
        """Predict class logits (B, N + S, C) and mask *probabilities* (B, N + S, H / 4, W / 4).

        The authors' code interpolates probabilities, not logits, to the size of the image;
        :class:`KNetFusionHead` does that in chunks.

        Raises:
            ValueError: The weights were loaded from a checkpoint of another kind of model.
        """
        if self._checkpoint_error:
            raise ValueError(f'KNetPanopticHead: {self._checkpoint_error}')
        outputs = self(x)
        return outputs.cls_scores[-1], upsample(outputs.masks[-1]).float().sigmoid()
