"""DFNet, the Deep Feature networks found by partial order pruning.

Partial Order Pruning: for Best Speed/Accuracy Trade-off in Neural Architecture Search,
https://arxiv.org/abs/1903.03777, as the backbone of SFNet-DF1 and SFNet-DF2 (authors' names
``dfnetv1`` and ``dfnetv2``).
"""

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.backbones.resnet import BasicBlock
from mmseg.models.utils import ResLayer
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice

from ..layers.build import norm_or_identity
from .pretrained import PretrainedBackbone


@MODELS.register_module()
class DFNet(PretrainedBackbone, BaseModule):
    """DF1 or DF2: a two-convolution stem and stages of ResNet basic blocks.

    Args:
        arch: ``'DF1'`` or ``'DF2'``.
        in_channels: Channels of the image.
        norm_cfg: Normalization layers; None leaves them out.
        init_cfg: See ``BaseModule``; all pretrained weights must fit.

    Returns (of ``forward``): three maps of 128, 256 and 512 channels; strides 16, 32, 32 for DF1
    and 8, 16, 32 for DF2. (The paper draws four maps from stride 4. The authors' code has only
    these three, which makes DF fast.)

    Raises:
        ValueError: ``arch`` is unknown.
    """

    weights_source = (
        "convert the ImageNet weights that DFNet's or SFNet's authors publish: "
        'python tools/model_converters/sfsegnets2mmseg.py SRC {checkpoint}'
    )
    # Each entry has (channels, blocks, stride) of the sequences of basic blocks, then the indices
    # of the sequences that give a map.
    arch_settings: dict[str, tuple[list[tuple[int, int, int]], tuple[int, ...]]] = {
        'DF1': ([(64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 1, 1)], (1, 2, 3)),
        'DF2': (
            [(64, 2, 2), (128, 1, 1), (128, 10, 2), (256, 1, 1), (256, 4, 2), (512, 2, 1)],
            (1, 3, 5),
        ),
    }

    def __init__(
        self,
        arch: str = 'DF1',
        in_channels: int = 3,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice('DFNet', self.arch_settings, arch=arch)
        self.arch = arch
        norm_cfg = norm_or_identity(norm_cfg)
        sequences, self.out_indices = self.arch_settings[arch]
        self.stem = nn.Sequential(
            ConvModule(in_channels, 32, 3, stride=2, padding=1, norm_cfg=norm_cfg),
            ConvModule(32, 64, 3, stride=2, padding=1, norm_cfg=norm_cfg),
        )
        self.layers = nn.ModuleList()
        channels = 64
        for out_channels, num_blocks, stride in sequences:
            self.layers.append(
                ResLayer(BasicBlock, channels, out_channels, num_blocks, stride, norm_cfg=norm_cfg)
            )
            channels = out_channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute three feature maps of an image (N, 3, H, W)."""
        x = self.stem(x)
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
