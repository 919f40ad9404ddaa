"""The two paths of Bi-Align, a baseline of SFNet.

Fast and Accurate Scene Parsing via Bi-direction Alignment Networks (ICIP 2021,
https://arxiv.org/abs/2105.11651; authors' ``BiAlignNet`` and ``SpatialPath``).
"""

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class BiAlignNet(BaseModule):
    """A shallow spatial path and a deep context path, which both read the image.

    Args:
        context_path: Config of the backbone of the context path, which also gets ``in_channels``
            and ``norm_cfg`` unless it sets them. Only its last map is used.
        in_channels: Channels of the image.
        norm_cfg: Normalization layers.
        init_cfg: See ``BaseModule``.

    Returns (of ``forward``): the spatial map, 128 channels at stride 8, and the last map of the
    context path.
    """

    def __init__(
        self,
        context_path: dict = dict(type='mmseg.DFNet', arch='DF2'),
        in_channels: int = 3,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        shared = dict(in_channels=in_channels, norm_cfg=norm_cfg)
        self.context_path = MODELS.build({**shared, **context_path})
        self.spatial_path = nn.Sequential(
            ConvModule(in_channels, 64, 7, stride=2, padding=3, norm_cfg=norm_cfg),
            ConvModule(64, 64, 3, stride=2, padding=1, norm_cfg=norm_cfg),
            ConvModule(64, 64, 3, stride=2, padding=1, norm_cfg=norm_cfg),
            ConvModule(64, 128, 1, norm_cfg=norm_cfg),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the spatial and the context map of an image (N, 3, H, W)."""
        return self.spatial_path(x), self.context_path(x)[-1]
