"""ShuffleNet V2.

ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design,
https://arxiv.org/abs/1807.11164, section 4 and Table 5, as a backbone of SFNet (Table 11).
"""

import torch
import torch.nn as nn
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice

from ..layers.build import norm_or_identity
from .pretrained import PretrainedBackbone


def channel_shuffle(x: Tensor, groups: int = 2) -> Tensor:
    """Interleave the channels of ``groups`` equal parts of (N, C, H, W)."""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def _norm(channels: int, norm_cfg: dict | None) -> nn.Module:
    return build_norm_layer(norm_or_identity(norm_cfg), channels)[1]


def _pointwise(in_channels: int, out_channels: int, norm_cfg: dict) -> 'list[nn.Module]':
    return [
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        _norm(out_channels, norm_cfg),
        nn.ReLU(inplace=True),
    ]


def _depthwise(channels: int, stride: int, norm_cfg: dict) -> 'list[nn.Module]':
    return [
        nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
        _norm(channels, norm_cfg),
    ]


class ShuffleUnit(nn.Module):
    """The unit of Figure 3c (stride 1: half of the channels pass unchanged) or 3d (stride 2).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 1 or 2.
        norm_cfg: Normalization layers.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> None:
        super().__init__()
        self.stride = stride
        half = out_channels // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                *_depthwise(in_channels, stride, norm_cfg), *_pointwise(in_channels, half, norm_cfg)
            )
        self.branch2 = nn.Sequential(
            *_pointwise(in_channels if stride > 1 else half, half, norm_cfg),
            *_depthwise(half, stride, norm_cfg),
            *_pointwise(half, half, norm_cfg),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        left, right = (x, x) if self.stride > 1 else x.chunk(2, dim=1)
        return channel_shuffle(torch.cat([self.branch1(left), self.branch2(right)], dim=1))


@MODELS.register_module()
class ShuffleNetV2(PretrainedBackbone, BaseModule):
    """ShuffleNet V2 without its last convolution and classifier.

    The layers have torchvision's names, so ``init_cfg=dict(type='Pretrained', ...)`` loads its
    ImageNet weights (``conv5`` and ``fc`` are ignored).

    Args:
        width: 0.5, 1.0, 1.5 or 2.0.
        in_channels: Channels of the image.
        norm_cfg: Normalization layers.
        init_cfg: See ``BaseModule``.

    Returns (of ``forward``): maps of strides 4, 8, 16 and 32, of 24, 116, 232 and 464 channels at
    width 1.0; the first map is that of the pooled stem.

    Raises:
        ValueError: ``width`` is unknown.
    """

    arch_settings = {
        0.5: (24, 48, 96, 192),
        1.0: (24, 116, 232, 464),
        1.5: (24, 176, 352, 704),
        2.0: (24, 244, 488, 976),
    }
    blocks = (4, 8, 4)

    def __init__(
        self,
        width: float = 1.0,
        in_channels: int = 3,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice('ShuffleNetV2', self.arch_settings, width=width)
        stem, *stages = self.arch_settings[width]
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, stride=2, padding=1, bias=False),
            _norm(stem, norm_cfg),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = stem
        for i, (out_channels, blocks) in enumerate(zip(stages, self.blocks), start=2):
            units = [ShuffleUnit(channels, out_channels, 2, norm_cfg)]
            for _ in range(blocks - 1):
                units.append(ShuffleUnit(out_channels, out_channels, 1, norm_cfg))
            setattr(self, f'stage{i}', nn.Sequential(*units))
            channels = out_channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute four feature maps of an image (N, 3, H, W)."""
        x = self.maxpool(self.conv1(x))
        outs = [x]
        for stage in (self.stage2, self.stage3, self.stage4):
            outs.append(stage(outs[-1]))
        return tuple(outs)
