"""Context modules that the paper compares with pyramid pooling on top of the FPN (Table 8c)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule, NonLocal2d
from mmengine.model import BaseModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.registry import MODELS
from torch import Tensor

from .pyramid_context import BatchOnePPM


class _Context(BaseModule):
    """The end of every context: concatenation, 1x1 convolution, BN, ReLU and channel dropout.

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Output channels.
        context_channels: Sum of the channels of the maps of :meth:`context`.
        dropout_ratio: Ratio of the channel dropout at the end.
        layers: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of ``ConvModule``.
        init_cfg: See ``BaseModule``.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        dropout_ratio: float,
        layers: dict[str, Any],
        init_cfg: dict | None,
    ) -> None:
        super().__init__(init_cfg)
        self.channels = channels
        self.bottleneck = ConvModule(context_channels, channels, 1, **layers)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def context(self, x: Tensor) -> Sequence[Tensor]:
        """Compute the maps (N, C_i, H, W) that are concatenated."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Compute the context map (N, channels, H, W) of a stage (N, in_channels, H, W)."""
        return self.dropout(self.bottleneck(torch.cat([*self.context(x)], dim=1)))


@MODELS.register_module()
class ASPPContext(_Context):
    """Atrous spatial pyramid pooling: parallel dilated convolutions and a global pooling.

    Rethinking Atrous Convolution for Semantic Image Segmentation, https://arxiv.org/abs/1706.05587.

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Channels of each branch and of the output.
        dilations: Dilations of the branches; 1 is a 1x1 convolution.
        dropout_ratio: Ratio of the channel dropout at the end.
        norm_cfg: Normalization layers.
        act_cfg: Activation layers.
        conv_cfg: Convolution layers; None gives plain ones.
        init_cfg: See ``BaseModule``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dilations: Sequence[int] = (1, 6, 12, 18),
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(channels, (len(dilations) + 1) * channels, dropout_ratio, layers, init_cfg)
        self.image_pool = BatchOnePPM((1,), in_channels, channels, align_corners=True, **layers)
        self.branches = ASPPModule(dilations, in_channels, channels, **layers)

    def context(self, x: Tensor) -> list[Tensor]:
        """Compute the pooled map and the branches."""
        return self.image_pool(x) + self.branches(x)


@MODELS.register_module()
class DenseASPPContext(_Context):
    """Dilated convolutions in a chain, each of which reads the input and all earlier outputs.

    DenseASPP for Semantic Segmentation in Street Scenes (CVPR 2018), section 3.

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Output channels; every layer of the chain adds half as many.
        dilations: Dilations of the layers, in order.
        dropout_ratio: Ratio of the channel dropout at the end.
        norm_cfg: Normalization layers.
        act_cfg: Activation layers.
        conv_cfg: Convolution layers; None gives plain ones.
        init_cfg: See ``BaseModule``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dilations: Sequence[int] = (3, 6, 12, 18, 24),
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        growth = channels // 2
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        context_channels = in_channels + len(dilations) * growth
        super().__init__(channels, context_channels, dropout_ratio, layers, init_cfg)
        self.layers = nn.ModuleList(
            nn.Sequential(
                ConvModule(in_channels + i * growth, channels, 1, **layers),
                ConvModule(channels, growth, 3, padding=d, dilation=d, **layers),
            )
            for i, d in enumerate(dilations)
        )

    def context(self, x: Tensor) -> list[Tensor]:
        """Compute the input and the output of every layer."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, dim=1)))
        return maps


@MODELS.register_module()
class NonLocalContext(_Context):
    """Self-attention between all pixels, concatenated with the input.

    Non-local Neural Networks, https://arxiv.org/abs/1711.07971 (mmcv's ``NonLocal2d``, embedded
    Gaussian).

    Args:
        in_channels: Channels of the last backbone stage.
        channels: Channels of the attention and of the output.
        reduction: Factor by which queries, keys and values are narrower.
        dropout_ratio: Ratio of the channel dropout at the end.
        norm_cfg: Normalization layers.
        act_cfg: Activation layers.
        conv_cfg: Convolution layers; None gives plain ones.
        init_cfg: See ``BaseModule``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        reduction: int = 2,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(channels, in_channels + channels, dropout_ratio, layers, init_cfg)
        self.project = ConvModule(in_channels, channels, 1, **layers)
        self.attention = NonLocal2d(
            channels, reduction=reduction, conv_cfg=conv_cfg, norm_cfg=norm_cfg
        )

    def context(self, x: Tensor) -> list[Tensor]:
        """Compute the attended map and the input."""
        return [self.attention(self.project(x)), x]
