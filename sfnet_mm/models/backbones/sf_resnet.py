"""ResNet as SFNet uses it: deep stem and the dilation "variant D" of the authors' code.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 (authors' file ``resnet_d``). Stem and dilation are those of the authors' code.
"""

from typing import Any

from mmseg.models.backbones import ResNetV1c
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice

from ..layers.build import norm_or_identity
from .pretrained import PretrainedBackbone
from .wide_stem import widen_stem


@MODELS.register_module()
class SFResNet(PretrainedBackbone, ResNetV1c):
    """mmseg's ``ResNetV1c`` whose stages 3 and 4 dilate only the layer called ``conv2``.

    Strides stay as ``strides`` gives them (output stride 32 by default). Dilation and padding of
    ``conv2`` are 2 in stage 3 and 4 in stage 4. For ``BasicBlock`` that is the *second* 3x3
    convolution. mmseg's ``dilations`` dilates the first, so it is set after construction.

    Weights of ``init_cfg=dict(type='Pretrained', checkpoint=...)`` must all fit. Those of a
    narrower stem, such as ``open-mmlab://resnet18_v1c``, are embedded: see :mod:`.wide_stem`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        stem_channels: Output channels of the stem (64 in its first two convolutions at 128).
        conv2_dilations: Dilation of ``conv2`` per stage; ``(1, 1, 1, 1)`` gives a plain ResNet.
        **kwargs: Arguments of ``mmseg.ResNet``, except ``dilations``. ``norm_cfg=None`` leaves
            normalization out.

    Returns (of ``forward``): maps of strides 4, 8, 16 and 32 by default, of 64, 128, 256, 512
    channels (depths 18 and 34) or four times as many.

    Raises:
        ValueError: ``depth`` is unknown, or there is not one dilation per stage.
    """

    def __init__(
        self,
        depth: int = 18,
        stem_channels: int = 128,
        conv2_dilations: tuple = (1, 1, 2, 4),
        **kwargs: Any,
    ) -> None:
        check_choice('SFResNet', self.arch_settings, depth=depth)
        if 'norm_cfg' in kwargs:
            kwargs['norm_cfg'] = norm_or_identity(kwargs['norm_cfg'])
        super().__init__(depth=depth, stem_channels=stem_channels, **kwargs)
        if len(conv2_dilations) != len(self.res_layers):
            raise ValueError(
                f'SFResNet: conv2_dilations={conv2_dilations} must name one dilation '
                f'for each of the {len(self.res_layers)} stages'
            )
        for name, dilation in zip(self.res_layers, conv2_dilations):
            for block in getattr(self, name):
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed the weights of a narrower stem in the stem of this backbone."""
        return widen_stem(weights, self.state_dict())

    def train(self, mode: bool = True) -> 'SFResNet':
        """Set the mode and return the module, which the host's method does not return."""
        super().train(mode)
        return self
