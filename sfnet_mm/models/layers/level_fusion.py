"""The last layer of the decoders, which fuses maps of several levels.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 (authors' ``conv_last``).
"""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .rearranged_convs import TapConv2d, activation, is_plain, make_conv
from .upsampling import resize


class LevelFusion(ConvModule):
    """Upsamples maps to the finest one, concatenates them fine to coarse, and convolves them.

    Layers and state dict are those of ``ConvModule``.

    Args:
        channels: Channels of each map and of the result.
        levels: Number of maps.
        kernel_size: Odd side of the kernel.
        upsamples: False if all maps have the size of the finest one.
        align_corners: ``align_corners`` of the bilinear upsampling.
        norm_cfg: Normalization layer.
        act_cfg: Activation layer.
        conv_cfg: Convolution layer; None gives a plain one.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        kernel_size: int = 3,
        upsamples: bool = True,
        align_corners: bool = True,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        conv_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            levels * channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.levels, self.upsamples, self.align_corners = levels, upsamples, align_corners

    def forward(self, finest: Tensor, *coarser: Tensor) -> Tensor:
        """Fuse maps, fine to coarse, to (N, channels, H, W) at the size of the first."""
        size = finest.shape[2:]
        maps = [finest, *(resize(x, size, self.align_corners) for x in coarser)]
        return super().forward(torch.cat(maps, dim=1))

    def inference_form(self, rearrange: bool) -> nn.Module | None:
        """Return this layer with convolutions before the upsampling; None if that is not faster.

        Args:
            rearrange: Whether to save multiplications at the cost of memory traffic, which is
                faster on a CPU. See :func:`sfnet_mm.deploy.optimize`.
        """
        pays = rearrange and self.upsamples
        return InferenceLevelFusion(self) if pays and is_plain(self) else None


class InferenceLevelFusion(nn.Module):
    """``LevelFusion`` that convolves each map at its own size and adds the upsampled results.

    Args:
        fusion: The trained layer with folded batch normalization.
    """

    def __init__(self, fusion: LevelFusion) -> None:
        super().__init__()
        conv = fusion.conv
        finest, *coarser = conv.weight.chunk(fusion.levels, dim=1)
        self.finest = make_conv(finest, conv.bias, conv)
        self.coarser = nn.ModuleList(
            TapConv2d(weight, conv, fusion.align_corners) for weight in coarser
        )
        self.activate = activation(fusion)

    def forward(self, finest: Tensor, *coarser: Tensor) -> Tensor:
        """Fuse maps, fine to coarse, to (N, channels, H, W) at the size of the first."""
        size = finest.shape[2:]
        out = self.coarser[0](coarser[0], size)
        for conv, x in zip(self.coarser[1:], coarser[1:]):
            out += conv(x, size)
        # The largest convolution comes last, so that runtimes add and activate in its pass.
        out += self.finest(finest)
        return self.activate(out)
