"""The offset generator of FreqFusion."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import constant_init, normal_init
from torch import Tensor

from sfnet_mm.ops.native import working_dtype

from .local_windows import neighbor_similarity
from .upsampling import resize


class SimilarityOffsets(nn.Module):
    """Predicts offsets from both maps and from how similar each pixel is to its neighbors.

    The maps are normalized, and their cosine similarities with the neighbors at a distance of two
    pixels are concatenated to them. An offset is the sum of what is predicted from each map, times
    a predicted factor of 0 to 1.

    Args:
        channels: Channels of both maps, a multiple of 8.
        groups: Number of groups that have offsets of their own.
        encoder_kernel: Side of the kernel of the convolutions.
    """

    def __init__(self, channels: int, groups: int, encoder_kernel: int) -> None:
        super().__init__()
        self.norm_fine = nn.GroupNorm(channels // 8, channels)
        self.norm_coarse = nn.GroupNorm(channels // 8, channels)
        # Offsets of the coarse map are predicted for twice its size.
        widths = (2 * groups, 2 * groups * 4)
        self.offset_fine, self.offset_coarse = (
            same_conv(channels + 8, width, encoder_kernel) for width in widths
        )
        self.scope_fine, self.scope_coarse = (
            same_conv(channels + 8, width, encoder_kernel) for width in widths
        )
        for layer in (self.offset_fine, self.offset_coarse):
            normal_init(layer, std=0.001)
        for layer in (self.scope_fine, self.scope_coarse):
            constant_init(layer, 0)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Compute offsets (N, 2, groups, H, W), x then y, in pixels of the coarse map."""
        dtype, size = working_dtype(fine), fine.shape[2:]
        fine, coarse = (
            torch.cat([x, neighbor_similarity(x, dilation=2)], 1)
            for x in (self.norm_fine(fine), self.norm_coarse(coarse))
        )

        def predict(fine_conv: nn.Module, coarse_conv: nn.Module) -> Tensor:
            of_coarse = F.pixel_shuffle(coarse_conv(coarse), 2).to(dtype)
            return fine_conv(fine).to(dtype) + resize(of_coarse, size, align_corners=False)

        offset = predict(self.offset_fine, self.offset_coarse)
        scope = predict(self.scope_fine, self.scope_coarse)
        return (offset * scope.sigmoid()).unflatten(1, (2, -1))


def same_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Make a convolution of stride 1 that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
