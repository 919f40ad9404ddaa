"""The two feature maps that K-Net reads, from the pyramid of the neck.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, supplementary of
section 3.3 (authors' ``SemanticFPNWrapper``, called ``localization_fpn`` in their head).
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmdet.models.layers import SinePositionalEncoding
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor


@MODELS.register_module()
class LocalizationFPN(BaseModule):
    """Resizes four pyramid levels to stride 8, sums them and projects the sum twice.

    Each level passes through 3x3 convolutions. All but the last are followed by bilinear upsampling
    by 2. The level of stride 4 has a single convolution of stride 2. A sine encoding of the
    position is first added to the coarsest level. Layers carry the authors' names.

    Args:
        in_channels: Channels of every level and of both outputs.
        norm_cfg: Normalization layers.
        act_cfg: Activation layers.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: In ``forward``, there are not four levels, or their sizes do not agree at stride
            8 (images must be padded to a multiple of 32).
    """

    num_levels = 4

    def __init__(
        self,
        in_channels: int = 256,
        norm_cfg: dict = dict(type='GN', num_groups=32),
        act_cfg: dict = dict(type='ReLU'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # The first half of the channels encodes the rows, the second half the columns.
        self.positional_encoding = SinePositionalEncoding(in_channels // 2, normalize=True)

        def conv(size: int, stride: int = 1) -> ConvModule:
            layers = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
            return ConvModule(in_channels, in_channels, size, stride, size // 2, **layers)

        self.convs_all_levels = nn.ModuleList([nn.Sequential(OrderedDict(conv0=conv(3, stride=2)))])
        for num_upsamplings in range(self.num_levels - 1):
            branch = OrderedDict()
            for i in range(num_upsamplings):
                branch[f'conv{i}'] = conv(3)
                branch[f'upsample{i}'] = nn.Upsample(
                    scale_factor=2, mode='bilinear', align_corners=False
                )
            branch[f'conv{num_upsamplings}'] = conv(3)
            self.convs_all_levels.append(nn.Sequential(branch))
        self.conv_pred = conv(1)
        self.aux_convs = nn.ModuleList([conv(1)])

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the localization and the semantic features, both (B, C, H / 8, W / 8).

        Args:
            inputs: Levels (B, C, H / s, W / s) of stride s = 4, 8, 16, 32.
        """
        if len(inputs) != self.num_levels:
            raise ValueError(
                f'LocalizationFPN: the neck gives {len(inputs)} levels instead of the '
                f'{self.num_levels} of strides 4 to 32: set num_outs (or in_channels) '
                'of the neck'
            )
        *finer, coarsest = inputs
        coarsest = coarsest + self.positional_encoding(None, coarsest).to(coarsest.dtype)
        levels = [conv(x) for conv, x in zip(self.convs_all_levels, (*finer, coarsest))]
        sizes = {tuple(x.shape[2:]) for x in levels}
        if len(sizes) > 1:
            raise ValueError(
                f'LocalizationFPN: levels of sizes {[tuple(x.shape[2:]) for x in inputs]}'
                ' do not meet at stride 8: set pad_size_divisor=32 in the data_preprocessor'
            )
        summed = sum(levels)
        return self.conv_pred(summed), self.aux_convs[0](summed)
