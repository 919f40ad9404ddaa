"""Upsampling by the similarity of fine and coarse pixels, in place of FAM.

SAPA: Similarity-Aware Point Affiliation for Feature Upsampling, https://arxiv.org/abs/2209.12866,
section 4: SAPA-B, the variant with a bilinear similarity (authors' ``SAPA``).
"""

import torch
import torch.nn as nn
from mmengine.model import BaseModule, trunc_normal_init
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops.native import like, working_dtype
from sfnet_mm.utils.arguments import check_least, check_odd

from .local_windows import group_by_coarse_pixel, shifted_views, sum_over_windows, to_fine_grid


@MODELS.register_module()
class SAPAAlignment(BaseModule):
    """Each fine pixel is a mean of the coarse pixels around it, weighted by similarity.

    The weights are a softmax over the window. Its logits are the inner products of a query from the
    fine pixel with keys from the coarse ones; both are linear in the layer-normalized maps. The
    window is centered at the coarse pixel that contains the center of the fine pixel, so any ratio
    of sizes is possible. Outside of the map, similarities and values are zero, as published.
    Similarities and sums are computed in float32 (float64 for a float64 map).

    Args:
        channels: Channels of both maps.
        kernel_size: Side of the window.
        embed_channels: Channels of queries and keys.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: The kernel is even, or ``embed_channels`` is below 1.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        kernel_size: int = 5,
        embed_channels: int = 32,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_odd('SAPAAlignment', kernel_size=kernel_size)
        check_least('SAPAAlignment', 1, embed_channels=embed_channels)
        self.kernel_size = kernel_size
        self.norm_fine, self.norm_coarse = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query = nn.Linear(channels, embed_channels)
        self.key = nn.Linear(channels, embed_channels)
        for layer in (self.query, self.key):
            trunc_normal_init(layer, std=0.02)

    def predict_kernels(self, low: Tensor, high: Tensor) -> Tensor:
        """Predict weights (N, k * k, a * b, h, w), as :func:`group_by_coarse_pixel` orders them."""
        query = self.query(self.norm_fine(low.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        key = self.key(self.norm_coarse(high.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        dtype = working_dtype(high)
        query = group_by_coarse_pixel(query.to(dtype), high.shape[2:])
        views = shifted_views(key.to(dtype), self.kernel_size)
        return torch.stack([(query * view[:, :, None]).sum(1) for view in views], 1).softmax(1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Upsample ``high`` (N, C, h, w) to the size of ``low`` (N, C, H, W)."""
        kernels = self.predict_kernels(low, high)
        cells = sum_over_windows(high.to(kernels.dtype), kernels)
        return like(to_fine_grid(cells, low.shape[2:]), high)
