"""The decoder of SFNet.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 and Figure 4 (authors' ``UperNetAlignHead``; without flow, ``UperNetHead``).
"""

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from ..layers.build import build_alignment
from ..layers.level_fusion import LevelFusion
from ..necks.aligned_fpn import AlignedFPN
from .deep_supervision import DeepSupervision


@MODELS.register_module()
class SFNetHead(DeepSupervision, BaseDecodeHead):
    """Fuses all levels of an aligned FPN on the finest grid by a 3x3 convolution and classifies.

    Args:
        in_channels: Channels of the backbone's maps, fine to coarse.
        channels: Channels of the pyramid (the authors' ``fpn_dim``).
        in_index: Indices of the backbone's maps; None takes the first ``len(in_channels)``.
        align: Alignment module of the FPN; None gives the FPN+PPM baseline of the paper.
        align_levels: See :class:`AlignedFPN`.
        context: See :class:`AlignedFPN`.
        align_fusion: Also align the coarser levels for the concatenation, instead of upsampling
            them (the paper does not; its authors report a small gain for a fifth of the speed).
        deep_supervision: Also classify every fused level in training; see
            :class:`.deep_supervision.DeepSupervision`.
        norm_cfg: Normalization layers.
        conv_cfg: Convolution layers, but for those of the alignment modules; None gives plain ones.
        dropout_ratio: Ratio of the dropout before the classifier; the authors' code has none here.
        align_corners: ``align_corners`` of all bilinear upsampling, inside the context and the
            alignment too; the warp keeps its convention. The authors' weights were trained with
            True.
        **kwargs: Arguments of ``mmseg.BaseDecodeHead`` (``num_classes``, ``loss_decode``, ...).

    Raises:
        ValueError: ``in_channels`` is not a list. In ``forward``, maps have other channels, or are
            not ordered from fine to coarse.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        in_index: Sequence[int] | None = None,
        align: dict | None = dict(type='FlowAlignmentModule'),
        align_levels: Sequence[int] | None = None,
        context: dict = dict(type='PyramidContext'),
        align_fusion: bool = False,
        deep_supervision: bool = False,
        norm_cfg: dict = dict(type='BN'),
        dropout_ratio: float = 0,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        if not isinstance(in_channels, (list, tuple)):
            raise ValueError(
                f'{type(self).__name__}: in_channels={in_channels!r} must list the '
                'channels of the backbone maps, fine to coarse'
            )
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        self.fpn = AlignedFPN(
            in_channels,
            channels,
            num_outs=len(in_channels),
            align=align,
            align_levels=align_levels,
            context=context,
            align_corners=align_corners,
            **layers,
        )
        coarser = len(in_channels) - 1
        if align_fusion and align is not None:
            self.fusion_align = nn.ModuleList(
                build_alignment(type(self).__name__, align, channels, align_corners)
                for _ in range(coarser)
            )
        self.conv_last = LevelFusion(
            channels,
            len(in_channels),
            upsamples=not hasattr(self, 'fusion_align'),
            align_corners=align_corners,
            **layers,
        )
        if deep_supervision:
            self.add_deep_supervision(coarser, kwargs)

    def _decode(self, features: Sequence[Tensor]) -> Tensor:
        finest, *coarser = self.fpn.outputs(features)
        if hasattr(self, 'fusion_align'):
            coarser = [align(finest, x) for align, x in zip(self.fusion_align, coarser)]
        return self.cls_seg(self.conv_last(finest, *coarser))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, H, W) at the size of the finest map."""
        return self._decode(self.fpn.top_down(self._transform_inputs(inputs)))

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: dict) -> dict:
        """Compute the losses of the classifier and, with deep supervision, of every fused level."""
        features = self.fpn.top_down(self._transform_inputs(inputs))
        losses = self.loss_by_feat(self._decode(features), batch_data_samples)
        losses.update(self.deep_losses(features, batch_data_samples, train_cfg))
        return losses
