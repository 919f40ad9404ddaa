"""FAM and GD-FAM, the modules that align a coarse feature map to a fine one by semantic flow.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 (FAM; authors' ``AlignedModule``) and 3.3 (GD-FAM; ``AlignedModulev2PoolingAtten`` with
the attention gate, ``AlignedModulev2`` with the convolution gate).
"""

from typing import Dict, Optional

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import flow_warp, gated_dual_flow_warp

from .concat_conv import ConcatConv2d
from .correlation import local_correlation
from .upsampling import UpsampleTo


class _FlowPredictor(BaseModule):
    """What FAM and GD-FAM share: project both maps to half the channels and predict flow from them.

    The layers carry the authors' names: ``down_h``, ``down_l`` (1x1, no bias) and ``flow_make``.
    """

    flow_channels: int
    # Whether the fine map is part of the output already.
    fuses: bool

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        upsample: str = 'bilinear',
        align_corners: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if channels < 2 or channels % 2:
            raise ValueError(
                f'{name}: channels={channels} must be even, its half is the width '
                'of the flow predictor'
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f'{name}: kernel_size={kernel_size} must be odd, an even kernel '
                'shifts the flow by half a pixel'
            )
        self.channels = channels
        self.down_h = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.down_l = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.upsample = UpsampleTo(channels // 2, upsample, align_corners)
        self.flow_make = ConcatConv2d(
            channels, self.flow_channels, kernel_size, padding=kernel_size // 2, bias=False
        )

    def _project(self, low: Tensor, high: Tensor) -> 'tuple[Tensor, Tensor]':
        """Half-width copies of both maps, (N, channels / 2, H, W) each, at the size of ``low``."""
        return self.down_l(low), self.upsample(self.down_h(high), low)

    def _flow(self, low: Tensor, high: Tensor) -> Tensor:
        # The order [high, low] is that of the released weights.
        return self.flow_make(high, low)


@MODELS.register_module()
class FlowAlignmentModule(_FlowPredictor):
    """FAM: warps a coarse, semantically strong map to the grid of a fine one.

    The paper's text speaks of two 3x3 convolutions; its Figure 4 and the release have one.

    Args:
        channels: Channels of both maps.
        kernel_size: Kernel of the flow convolution (Table 9b: 1, 3, 5, 7); padding follows it.
        upsample: How the coarse map is brought to the size of the fine one before the flow is
            predicted (Table 9a): ``'bilinear'``, ``'nearest'`` or ``'deconv'``.
        max_displacement: If given, predict the flow from the correlation of the two maps up to this
            displacement, as FlowNet-C does (Table 9c), and not from their concatenation.
        align_corners: Of the bilinear upsampling before the flow is predicted; the warp itself has
            the convention of :func:`sfnet_mm.ops.flow_warp` in any case.
        init_cfg: As in ``BaseModule``.

    Raises:
        ValueError: Odd ``channels``, even ``kernel_size``, unknown ``upsample`` or a
            ``max_displacement`` under 1.
    """

    flow_channels = 2
    fuses = False

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        upsample: str = 'bilinear',
        max_displacement: Optional[int] = None,
        align_corners: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(channels, kernel_size, upsample, align_corners, init_cfg)
        self.max_displacement = max_displacement
        if max_displacement is not None:
            if max_displacement < 1:
                raise ValueError(
                    f'FlowAlignmentModule: max_displacement={max_displacement} must be '
                    '1 pixel or more'
                )
            self.flow_make = ConcatConv2d(
                (2 * max_displacement + 1) ** 2,
                self.flow_channels,
                kernel_size,
                padding=kernel_size // 2,
                bias=False,
            )

    def _flow(self, low: Tensor, high: Tensor) -> Tensor:
        if self.max_displacement is None:
            return super()._flow(low, high)
        return self.flow_make(local_correlation(low, high, self.max_displacement))

    def predict_flow(self, low: Tensor, high: Tensor) -> Tensor:
        """Semantic flow (N, 2, H, W), x then y, in the units of :func:`sfnet_mm.ops.flow_warp`."""
        return self._flow(*self._project(low, high))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Warp ``high`` to the size of ``low``.

        Args:
            low: The fine map (N, C, H, W), of a low level.
            high: The coarse map (N, C, h, w), of a high level.

        Returns:
            Tensor: (N, C, H, W).
        """
        return flow_warp(high, self.predict_flow(low, high))


@MODELS.register_module()
class GatedDualFlowAlignmentModule(_FlowPredictor):
    """GD-FAM: warps the coarse *and* the fine map, each by its own flow, and blends them by a gate.

    ``out = warp(high, flow[:, :2]) * gate + warp(low, flow[:, 2:]) * (1 - gate)``. The gate weights
    the coarse map, as the paper's text and the release say (its Eq. 6 prints the two exchanged).

    Args:
        channels: Channels of both maps.
        gate: ``'attention'`` (mean and maximum over channels of both maps, the one of the reported
            models), ``'conv'`` (from the projected maps; authors' ``AlignedModulev2``) or None (the
            warped maps are added).
        kernel_size: Kernel of the flow convolution.
        gate_kernel_size: Kernel of the gate convolution: 3 in the release, 1 in the paper (Eq. 5).
        align_corners: Of the bilinear upsampling before the flow is predicted; the warp itself has
            the convention of :func:`sfnet_mm.ops.flow_warp` in any case.
        init_cfg: As in ``BaseModule``.

    Raises:
        ValueError: Odd ``channels``, an even kernel or an unknown ``gate``.
    """

    flow_channels = 4
    fuses = True
    gates = ('attention', 'conv', None)

    def __init__(
        self,
        channels: int,
        gate: Optional[str] = 'attention',
        kernel_size: int = 3,
        gate_kernel_size: int = 3,
        align_corners: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(channels, kernel_size, align_corners=align_corners, init_cfg=init_cfg)
        if gate not in self.gates:
            raise ValueError(
                f'GatedDualFlowAlignmentModule: gate={gate!r} is not one of '
                f'{", ".join(map(repr, self.gates))}'
            )
        if gate_kernel_size < 1 or gate_kernel_size % 2 == 0:
            raise ValueError(
                f'GatedDualFlowAlignmentModule: gate_kernel_size={gate_kernel_size} must be odd'
            )
        self.gate = gate
        if gate is not None:
            gate_channels = 4 if gate == 'attention' else channels
            self.flow_gate = nn.Conv2d(
                gate_channels, 1, gate_kernel_size, padding=gate_kernel_size // 2, bias=False
            )

    def predict_gate(self, low: Tensor, low_half: Tensor, high_half: Tensor) -> Optional[Tensor]:
        """The gate (N, 1, H, W) in (0, 1), or None.

        The attention gate pools the *projected* coarse map but the *original* fine map; the order
        of its four channels is that of the released weights.
        """
        if self.gate is None:
            return None
        if self.gate == 'attention':
            pooled = torch.cat([
                high_half.mean(1, keepdim=True),
                low.mean(1, keepdim=True),
                high_half.amax(1, keepdim=True),
                low.amax(1, keepdim=True)
            ], dim=1)  # yapf: disable
        else:
            pooled = torch.cat([high_half, low_half], dim=1)
        return self.flow_gate(pooled).sigmoid()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        low_half, high_half = self._project(low, high)
        flow = self._flow(low_half, high_half)
        gate = self.predict_gate(low, low_half, high_half)
        return gated_dual_flow_warp(high, low, flow, gate)
