"""GD-FAM, the module that aligns a coarse and a fine feature map to each other and blends them.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.3 and Figure 5 (authors' ``AlignedModulev2PoolingAtten`` with the attention gate,
``AlignedModulev2`` with the convolution gate).
"""

import math

import torch
import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import gated_dual_flow_warp
from sfnet_mm.ops.exporting import is_exporting
from sfnet_mm.utils.arguments import check_choice, check_odd

from .flow_alignment import FlowPredictor
from .rearranged_convs import RowConv2d, TapConv2d, compose, make_conv, padded_kernel
from .upsampling import resize


@MODELS.register_module()
class GatedDualFlowAlignmentModule(FlowPredictor):
    """GD-FAM: warps the coarse *and* the fine map, each by its own flow, and blends them by a gate.

    ``out = warp(high, flow[:, :2]) * gate + warp(low, flow[:, 2:]) * (1 - gate)``.

    Args:
        channels: Channels of both maps.
        gate: ``'attention'`` (from the mean and maximum over channels of both maps, as in the
            reported models), ``'conv'`` (from the projected maps; authors' ``AlignedModulev2``) or
            None (the warped maps are added).
        kernel_size: Kernel of the flow convolution.
        gate_kernel_size: Kernel of the gate convolution: 3 in the authors' code, 1 in Eq. 5.
        gate_weights: The map that the gate weights; ``1 - gate`` weights the other. ``'coarse'`` is
            that of the paper's text and the authors' code, ``'fine'`` that of Eq. 6 as printed.
        align_corners: ``align_corners`` of the bilinear upsampling before the flow is predicted.
            The warp itself always has the convention of :func:`sfnet_mm.ops.flow_warp`.
        flow_scale: Factor of the predicted flow before the warp: 1 as in the authors' code, 2 for
            the displacement of Eq. 2.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: ``channels`` is odd, a kernel is even, or ``gate`` is unknown.
    """

    flow_channels = 4
    fuses = True
    gates: tuple[str | None, ...] = ('attention', 'conv', None)

    def __init__(
        self,
        channels: int,
        gate: str | None = 'attention',
        kernel_size: int = 3,
        gate_kernel_size: int = 3,
        gate_weights: str = 'coarse',
        align_corners: bool = True,
        flow_scale: float = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(channels, kernel_size, 'bilinear', align_corners, flow_scale, init_cfg)
        name = type(self).__name__
        check_choice(name, ('coarse', 'fine'), gate_weights=gate_weights)
        check_choice(name, self.gates, gate=gate)
        check_odd(name, gate_kernel_size=gate_kernel_size)
        self.gate_weights = gate_weights
        self.gate = gate
        if gate is not None:
            gate_channels = 4 if gate == 'attention' else channels
            self.flow_gate = nn.Conv2d(
                gate_channels, 1, gate_kernel_size, padding=gate_kernel_size // 2, bias=False
            )

    def predict_gate(self, low: Tensor, low_half: Tensor, high_half: Tensor) -> Tensor | None:
        """Predict the weight of the coarse map (N, 1, H, W) in (0, 1), or None.

        The attention gate pools the *projected* coarse map but the *original* fine map; the order
        of its four channels is that of the authors' weights.

        Args:
            low: The fine map (N, C, H, W).
            low_half: Its projection to half width, (N, C / 2, H, W).
            high_half: The projection of the coarse map at the same size, (N, C / 2, H, W).
        """
        if self.gate is None:
            return None
        if self.gate == 'attention':
            means = [x.mean(1, keepdim=True) for x in (high_half, low)]
            largest = [x.amax(1, keepdim=True) for x in (high_half, low)]
            pooled = torch.cat([*means, *largest], dim=1)
        else:
            pooled = torch.cat([high_half, low_half], dim=1)
        logit = self.flow_gate(pooled)
        # 1 - sigmoid(x) is sigmoid(-x).
        return (logit if self.gate_weights == 'coarse' else -logit).sigmoid()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        low_half, high_half = self.project(low, high)
        flow = self.flow_of_halves(low_half, high_half)
        gate = self.predict_gate(low, low_half, high_half)
        return gated_dual_flow_warp(high, low, flow, gate)

    def inference_form(self, rearrange: bool) -> nn.Module | None:
        """Return this module without concatenated maps; None if that is not faster.

        Args:
            rearrange: Whether to save multiplications at the cost of memory traffic, which is
                faster on a CPU. See :func:`sfnet_mm.deploy.optimize`.
        """
        has_one = self.gate != 'conv' and self.gate_weights == 'coarse'
        return InferenceGDFAM(self) if rearrange and has_one else None


class InferenceGDFAM(nn.Module):
    """``GatedDualFlowAlignmentModule`` with its attention gate, without concatenated maps.

    The part of the gate that comes from means over channels is linear in the maps, so the flow
    convolution computes it as a fifth output. The gate needs the coarse half-width map at full size
    only for its maximum.

    Args:
        module: The trained module, with ``gate='attention'`` or None.
    """

    fuses = True

    def __init__(self, module: GatedDualFlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = (module.flow_scale * module.flow_make.weight).chunk(2, dim=1)
        high, low = compose(from_high, module.down_h), compose(from_low, module.down_l)
        self.gated = module.gate is not None
        if self.gated:
            weight = module.flow_gate.weight.double()
            size = max(weight.shape[-1], high.shape[-1])
            mean_high, mean_low, largest = weight.split([1, 1, 2], dim=1)
            mean_high = mean_high * module.down_h.weight.double().mean(0)[None]
            mean_low = (mean_low / module.channels).expand(-1, module.channels, -1, -1)
            high = torch.cat([padded_kernel(w, size) for w in (high, mean_high)])
            low = torch.cat([padded_kernel(w, size) for w in (low, mean_low)])
            self.down_h = module.down_h
            self.gate_of_largest = make_conv(largest, None, module.flow_gate)
        self.align_corners = module.upsample.align_corners
        self.from_high = TapConv2d(high, module.flow_make, self.align_corners)
        self.from_low = RowConv2d(low, module.flow_make)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align and blend ``low`` (N, C, H, W) and ``high`` (N, C, h, w) into (N, C, H, W)."""
        size = low.shape[2:]
        flow = self.from_high(high, size) + self.from_low(low)
        if not self.gated:
            return gated_dual_flow_warp(high, low, flow)
        flow, gate = flow.split([4, 1], dim=1)
        largest_high = channel_max(resize(self.down_h(high), size, self.align_corners))
        largest = torch.cat([largest_high, channel_max(low)], dim=1)
        gate = (gate + self.gate_of_largest(largest)).sigmoid()
        return gated_dual_flow_warp(high, low, flow, gate)


def channel_max(x: Tensor) -> Tensor:
    """Compute the maximum over channels, (N, 1, H, W)."""
    if not is_exporting() or is_exporting('openvino'):
        return x.amax(1, keepdim=True)
    # ONNX Runtime is slow with many channels.
    groups = math.gcd(x.shape[1], 8)
    parts = x.reshape(-1, x.shape[1] // groups, *x.shape[2:]).amax(1)
    return parts.reshape(-1, groups, *x.shape[2:]).amax(1, keepdim=True)
