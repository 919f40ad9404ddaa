"""The decoder of DF-Seg, a baseline of SFNet with the same backbones.

Partial Order Pruning: for Best Speed/Accuracy Trade-off in Neural Architecture Search,
https://arxiv.org/abs/1903.03777, section 4.3, as SFNet's authors build it.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from ..layers.build import build_context
from ..layers.upsampling import resize
from ..necks.aligned_fpn import check_maps


class FusionNode(nn.Module):
    """Upsamples the coarse map and fuses it with the fine one by a 3x3 convolution.

    Args:
        channels: Channels of both maps and of the output.
        align_corners: ``align_corners`` of the upsampling.
    """

    def __init__(self, channels: int, align_corners: bool = True) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.fusion = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Fuse (N, C, h, w) and (N, C, H, W) to (N, C, H, W)."""
        coarse = resize(coarse, fine.shape[2:], self.align_corners)
        return self.fusion(torch.cat([coarse, fine], dim=1))


@MODELS.register_module()
class DFSegHead(BaseDecodeHead):
    """Applies PPM to the last map and fuses it with the two finer maps, one after the other.

    Layers have the authors' names (``cc5``, ``cc4``, ``cc3``, ``fn4``, ``fn3``). The authors also
    halve the image before the network and enlarge the logits at test time; that is
    preprocessing for speed and not part of this head.

    Args:
        in_channels: Channels of the three maps of :class:`DFNet`, fine to coarse.
        channels: Width of the classifier.
        in_index: Indices of these maps in the backbone's output.
        width: Width of the context and of the fusion nodes.
        context: Context module on the last map.
        norm_cfg: Normalization layers.
        dropout_ratio: Ratio of the dropout before the classifier.
        align_corners: ``align_corners`` of all bilinear upsampling.
        **kwargs: Arguments of ``mmseg.BaseDecodeHead``.

    Raises:
        ValueError: In ``forward``, maps have other channels than ``in_channels``, or are not
            ordered from fine to coarse.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256, 512),
        channels: int = 256,
        *,
        in_index: Sequence[int] = (0, 1, 2),
        width: int = 128,
        context: dict = dict(type='mmseg.PyramidContext'),
        norm_cfg: dict = dict(type='BN'),
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
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
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        self.ppm = build_context(
            context,
            in_channels=in_channels[-1],
            channels=width,
            align_corners=align_corners,
            **layers,
        )
        self.cc5 = nn.Conv2d(width, width, 1)
        self.cc4 = nn.Conv2d(in_channels[1], width, 1)
        self.cc3 = nn.Conv2d(in_channels[0], width, 1)
        self.fn4 = FusionNode(width, align_corners)
        self.fn3 = FusionNode(width, align_corners)
        # The authors give this convolution a bias although BN follows.
        self.conv_last = ConvModule(width, channels, 3, padding=1, bias=True, **layers)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, H, W) at the size of the first map."""
        inputs = self._transform_inputs(inputs)
        check_maps(type(self).__name__, inputs, self.in_channels)
        fine, middle, last = inputs
        x = self.fn4(self.cc5(self.ppm(last)), self.cc4(middle))
        x = self.fn3(x, self.cc3(fine))
        return self.cls_seg(self.conv_last(x))
