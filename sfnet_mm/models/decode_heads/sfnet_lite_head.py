"""The decoder of SFNet-Lite.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.3 and Figure 5 (authors' ``UperNetAlignHeadV2``).
"""

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice

from ..layers.build import build_alignment, build_context
from ..layers.level_fusion import LevelFusion
from ..layers.upsampling import resize
from ..necks.aligned_fpn import check_maps
from .deep_supervision import DeepSupervision


@MODELS.register_module()
class SFNetLiteHead(DeepSupervision, BaseDecodeHead):
    """Fuses the finest stage and the context by one GD-FAM, and joins the stride-16 stage.

    Args:
        in_channels: Channels of three maps of the backbone: the finest, the last but one and the
            last (the one under the context module).
        channels: Width of the decoder.
        in_index: Indices of these maps in the backbone's output.
        align: Alignment module, called as ``align(fine, coarse)``. Its result is the fused map if
            the module ``fuses``, as GD-FAM does; else, as for FAM (Table 16), it is added to the
            fine map. None adds the bilinearly upsampled coarse map.
        context: Context module on the last map.
        fusion: ``'authors'`` joins the fused map and the last but one stage by a 3x3 convolution.
            ``'paper'`` joins the fused map and the last stage, which is the context map here, by a
            1x1 convolution (section 3.3 and Figure 5); it does not use the last but one stage.
        deep_supervision: Also classify the fused map in training; see
            :class:`.deep_supervision.DeepSupervision`. (The authors' code has this layer, but
            never runs it.)
        norm_cfg: Normalization layers.
        conv_cfg: Convolution layers, but for those of the alignment modules; None gives plain ones.
        dropout_ratio: Ratio of the dropout before the classifier; the authors' code has none here.
        align_corners: ``align_corners`` of all bilinear upsampling, inside the context and the
            alignment too; the warp keeps its convention. The authors' weights were trained with
            True.
        **kwargs: Arguments of ``mmseg.BaseDecodeHead`` (``num_classes``, ``loss_decode``, ...).

    Raises:
        ValueError: There are not three ``in_channels``, or ``fusion`` is unknown. In ``forward``,
            maps have other channels, or are not ordered from fine to coarse.
    """

    fusions = ('authors', 'paper')

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        in_index: Sequence[int] = (0, 2, 3),
        align: dict | None = dict(type='GatedDualFlowAlignmentModule'),
        context: dict = dict(type='PyramidContext'),
        fusion: str = 'authors',
        deep_supervision: bool = False,
        norm_cfg: dict = dict(type='BN'),
        dropout_ratio: float = 0,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        if not isinstance(in_channels, (list, tuple)) or len(in_channels) != 3:
            raise ValueError(
                f'SFNetLiteHead: in_channels={in_channels!r} must list three maps: '
                'the finest, the last but one and the last'
            )
        check_choice('SFNetLiteHead', self.fusions, fusion=fusion)
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        self.fusion = fusion
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        self.ppm = build_context(
            context,
            in_channels=in_channels[-1],
            channels=channels,
            align_corners=align_corners,
            **layers,
        )
        # The authors give the laterals a bias although BN follows; their weights have it.
        self.fpn_in = nn.ModuleList(
            ConvModule(c, channels, 1, bias=True, **layers)
            for c in in_channels[: 2 if fusion == 'authors' else 1]
        )
        if align is not None:
            self.flow_align_module = build_alignment(
                type(self).__name__, align, channels, align_corners
            )
        self.conv_last = LevelFusion(
            channels,
            2,
            kernel_size=3 if fusion == 'authors' else 1,
            align_corners=align_corners,
            **layers,
        )
        if deep_supervision:
            self.add_deep_supervision(1, kwargs)

    def _fuse(self, fine: Tensor, coarse: Tensor) -> Tensor:
        if not hasattr(self, 'flow_align_module'):
            return fine + resize(coarse, fine.shape[2:], self.align_corners)
        aligned = self.flow_align_module(fine, coarse)
        return aligned if self.flow_align_module.fuses else fine + aligned

    def _decode(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the fused map (N, channels, H, W) and the logits (N, num_classes, H, W)."""
        inputs = self._transform_inputs(inputs)
        check_maps(type(self).__name__, inputs, self.in_channels)
        finest, middle, last = inputs
        context = self.ppm(last)
        fused = self._fuse(self.fpn_in[0](finest), context)
        coarse = self.fpn_in[1](middle) if self.fusion == 'authors' else context
        return fused, self.cls_seg(self.conv_last(fused, coarse))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, H, W) at the size of the finest map."""
        return self._decode(inputs)[1]

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: dict) -> dict:
        """Compute the losses of the classifier and, with deep supervision, of the fused map."""
        fused, logits = self._decode(inputs)
        losses = self.loss_by_feat(logits, batch_data_samples)
        losses.update(self.deep_losses([fused], batch_data_samples, train_cfg))
        return losses
