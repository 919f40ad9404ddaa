"""FAM, the module that aligns a coarse feature map to a fine one by semantic flow.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 and Figure 3 (authors' ``AlignedModule``).
"""

import torch.nn as nn
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import flow_warp
from sfnet_mm.utils.arguments import check_least, check_odd

from .concat_conv import ConcatConv2d
from .correlation import local_correlation
from .rearranged_convs import TapConv2d, compose
from .upsampling import UpsampleTo


class FlowPredictor(BaseModule):
    """The shared part of FAM and GD-FAM: projects both maps to half width and predicts flow.

    The layers have the authors' names: ``down_h``, ``down_l`` (1x1, no bias) and ``flow_make``.
    """

    flow_channels: int
    # Whether the output already contains the fine map.
    fuses: bool

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        upsample: str = 'bilinear',
        align_corners: bool = True,
        flow_scale: float = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.flow_scale = flow_scale
        name = type(self).__name__
        if channels < 2 or channels % 2:
            raise ValueError(
                f'{name}: channels={channels} must be even, its half is the width '
                'of the flow predictor'
            )
        check_odd(name, kernel_size=kernel_size)
        self.channels = channels
        self.down_h = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.down_l = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.upsample = UpsampleTo(channels // 2, upsample, align_corners)
        self.flow_make = ConcatConv2d(
            channels, self.flow_channels, kernel_size, padding=kernel_size // 2, bias=False
        )

    def project(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Project both maps to half width, (N, channels / 2, H, W) each, at the size of ``low``."""
        return self.down_l(low), self.upsample(self.down_h(high), low)

    def flow_of_halves(self, low: Tensor, high: Tensor) -> Tensor:
        """Predict the flow (N, ``flow_channels``, H, W) from the two maps of :meth:`project`."""
        flow = self._unscaled_flow(low, high)
        return flow if self.flow_scale == 1 else flow * self.flow_scale

    def _unscaled_flow(self, low: Tensor, high: Tensor) -> Tensor:
        # The authors' weights need the order [high, low].
        return self.flow_make(high, low)


@MODELS.register_module()
class FlowAlignmentModule(FlowPredictor):
    """FAM: warps a coarse, semantically strong map to the grid of a fine one.

    The paper's text names two 3x3 convolutions; its Figure 4 and the authors' code have only one.

    Args:
        channels: Channels of both maps.
        kernel_size: Kernel of the flow convolution (Table 9b: 1, 3, 5, 7); padding follows it.
        upsample: How the coarse map is resized to the fine one before the flow is predicted (Table
            9a): ``'bilinear'``, ``'nearest'`` or ``'deconv'``.
        max_displacement: If given, predict the flow from the correlation of the two maps up to this
            displacement, as FlowNet-C does (Table 9c), and not from their concatenation.
        align_corners: ``align_corners`` of the bilinear upsampling before the flow is predicted.
            The warp itself always has the convention of :func:`sfnet_mm.ops.flow_warp`.
        flow_scale: Factor of the predicted flow before the warp: 1 as in the authors' code, 2 for
            the displacement of Eq. 2.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: ``channels`` is odd, ``kernel_size`` is even, ``upsample`` is unknown, or
            ``max_displacement`` is below 1.
    """

    flow_channels = 2
    fuses = False

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        upsample: str = 'bilinear',
        max_displacement: int | None = None,
        align_corners: bool = True,
        flow_scale: float = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(channels, kernel_size, upsample, align_corners, flow_scale, init_cfg)
        self.max_displacement = max_displacement
        if max_displacement is not None:
            check_least('FlowAlignmentModule', 1, max_displacement=max_displacement)
            self.flow_make = ConcatConv2d(
                (2 * max_displacement + 1) ** 2,
                self.flow_channels,
                kernel_size,
                padding=kernel_size // 2,
                bias=False,
            )

    def _unscaled_flow(self, low: Tensor, high: Tensor) -> Tensor:
        if self.max_displacement is None:
            return super()._unscaled_flow(low, high)
        return self.flow_make(local_correlation(low, high, self.max_displacement))

    def predict_flow(self, low: Tensor, high: Tensor) -> Tensor:
        """Predict flow (N, 2, H, W), x then y, in the unit of :func:`sfnet_mm.ops.flow_warp`."""
        return self.flow_of_halves(*self.project(low, high))

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Warp ``high`` to the size of ``low``.

        Args:
            low: The fine map (N, C, H, W), of a low level.
            high: The coarse map (N, C, h, w), of a high level.

        Returns:
            Tensor: (N, C, H, W).
        """
        return flow_warp(high, self.predict_flow(low, high))

    def inference_form(self, rearrange: bool) -> nn.Module | None:
        """Return this module without its half-width maps; None if that is not faster.

        Args:
            rearrange: Whether to save multiplications at the cost of memory traffic, which is
                faster on a CPU. See :func:`sfnet_mm.deploy.optimize`.
        """
        is_supported = self.upsample.mode == 'bilinear' and self.max_displacement is None
        return InferenceFAM(self) if rearrange and is_supported else None


class InferenceFAM(nn.Module):
    """``FlowAlignmentModule`` without the half-width maps.

    Args:
        fam: The trained module.
    """

    fuses = False

    def __init__(self, fam: FlowAlignmentModule) -> None:
        super().__init__()
        from_high, from_low = (fam.flow_scale * fam.flow_make.weight).chunk(2, dim=1)
        align_corners = fam.upsample.align_corners
        self.flow_high = TapConv2d(compose(from_high, fam.down_h), fam.flow_make, align_corners)
        self.flow_low = TapConv2d(compose(from_low, fam.down_l), fam.flow_make)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Warp ``high`` (N, C, h, w) to the size of ``low`` (N, C, H, W)."""
        size = low.shape[2:]
        return flow_warp(high, self.flow_high(high, size) + self.flow_low(low, size))
