"""GD-FAM with two separate gates, a step of the paper's ablation.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 4.3 and Table 10b.
"""

from typing import Any

import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import flow_warp

from .gated_dual_flow_alignment import GatedDualFlowAlignmentModule


@MODELS.register_module()
class SeparateGatesAlignmentModule(GatedDualFlowAlignmentModule):
    """Warps the coarse and the fine map, each by its own flow and weighted by its own gate.

    ``out = warp(high, flow[:, :2]) * gate[:, 0] + warp(low, flow[:, 2:]) * gate[:, 1]``. GD-FAM has
    only one gate and weights the fine map by its complement.

    Args:
        channels: Channels of both maps.
        gate: Kind of both gates: ``'attention'`` or ``'conv'``, see
            :class:`GatedDualFlowAlignmentModule`.
        **kwargs: See :class:`GatedDualFlowAlignmentModule`.

    Raises:
        ValueError: ``gate`` is None, or GD-FAM refuses an argument.
    """

    gates = ('attention', 'conv')

    def __init__(self, channels: int, gate: str | None = 'attention', **kwargs: Any) -> None:
        super().__init__(channels, gate, **kwargs)
        kernel = self.flow_gate.kernel_size[0]
        self.flow_gate = nn.Conv2d(
            self.flow_gate.in_channels, 2, kernel, padding=kernel // 2, bias=False
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        low_half, high_half = self.project(low, high)
        flow = self.flow_of_halves(low_half, high_half)
        gate = self.predict_gate(low, low_half, high_half)
        assert gate is not None  # __init__ refuses None.
        return (
            flow_warp(high, flow[:, :2]) * gate[:, :1] + flow_warp(low, flow[:, 2:]) * gate[:, 1:]
        )
