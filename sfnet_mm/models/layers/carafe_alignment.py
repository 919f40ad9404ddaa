"""Upsampling by predicted kernels, in place of FAM.

CARAFE: Content-Aware ReAssembly of FEatures, https://arxiv.org/abs/1905.02188, section 3 (authors'
``CARAFEPack``; mmcv has it with compiled operators, here it is plain torch).
"""

import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, normal_init, xavier_init
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops.native import working_dtype
from sfnet_mm.utils.arguments import check_least, check_odd

from .local_windows import upsample_by_kernels
from .upsampling import resize


@MODELS.register_module()
class CARAFEAlignment(BaseModule):
    """Each fine pixel is a mean of the coarse pixels around it, with predicted weights.

    The weights of a window are a softmax of what ``content_encoder`` predicts from the coarse map
    alone, for ``scale_factor`` times its size. For any other size, these logits are resized
    bilinearly before the softmax. The window is centered at the coarse pixel that contains the
    center of the fine pixel. Outside of the map it reads zeros, as published. Layers have the
    authors' names. The softmax and the sums are computed in float32 (float64 for a float64 map).

    Args:
        channels: Channels of both maps.
        scale_factor: Ratio of sizes for which kernels are predicted: 2 in SFNet, 8 in SFNet-Lite.
        kernel_size: Side of the window.
        encoder_kernel: Side of the kernel of the convolution that predicts the weights.
        compressed_channels: Input channels of this convolution.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: A kernel is even, or ``scale_factor`` or ``compressed_channels`` is below 1.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        scale_factor: int = 2,
        kernel_size: int = 5,
        encoder_kernel: int = 3,
        compressed_channels: int = 64,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        name = 'CARAFEAlignment'
        check_odd(name, kernel_size=kernel_size, encoder_kernel=encoder_kernel)
        check_least(name, 1, scale_factor=scale_factor, compressed_channels=compressed_channels)
        self.scale_factor = scale_factor
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            (kernel_size * scale_factor) ** 2,
            encoder_kernel,
            padding=encoder_kernel // 2,
        )
        xavier_init(self.channel_compressor, distribution='uniform')
        normal_init(self.content_encoder, std=0.001)

    def predict_kernels(self, low: Tensor, high: Tensor) -> Tensor:
        """Predict weights (N, k * k, H, W) of the window of each fine pixel, which sum to 1."""
        logits = self.content_encoder(self.channel_compressor(high))
        logits = F.pixel_shuffle(logits, self.scale_factor).to(working_dtype(high))
        return resize(logits, low.shape[2:], align_corners=False).softmax(1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Upsample ``high`` (N, C, h, w) to the size of ``low`` (N, C, H, W), which is not read."""
        return upsample_by_kernels(high, self.predict_kernels(low, high))
