"""Alignment by a deformable convolution of the coarse map.

Deformable Convolutional Networks, https://arxiv.org/abs/1703.06211, with offsets predicted from
both maps as in FaPN, https://arxiv.org/abs/2108.07058, section 3.2. The paper's comparison with FAM
(Tables 9d and 16) convolves the concatenation of both maps: see ``deformable_concat.py``.
"""

from importlib.util import find_spec

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops import flow_warp
from sfnet_mm.utils.arguments import check_choice, check_odd

from .flow_alignment import FlowPredictor


def uses_mmcv(name: str, backend: str) -> bool:
    """Return whether a module uses mmcv's compiled operator.

    Args:
        name: Name of the module, for error messages.
        backend: ``'native'``, ``'mmcv'`` or ``'auto'``, which takes mmcv's if it is there.

    Raises:
        ValueError: ``backend`` is unknown.
        ModuleNotFoundError: ``backend`` is ``'mmcv'``, and the compiled mmcv is not installed.
    """
    check_choice(name, ('auto', 'native', 'mmcv'), backend=backend)
    compiled = find_spec('mmcv._ext') is not None
    if backend == 'mmcv' and not compiled:
        raise ModuleNotFoundError(
            f"{name}: backend='mmcv' needs the compiled mmcv: make install-full"
        )
    return compiled and backend != 'native'


def deform_conv(x: Tensor, offset: Tensor, weight: Tensor, use_mmcv: bool = False) -> Tensor:
    """Compute a deformable convolution of stride 1, in plain torch by one warp for each tap.

    Args:
        x: (N, C, H, W), zero outside; H and W are at least 2.
        offset: (N, 2 * k * k, H, W) in pixels, y then x of each tap, taps row by row.
        weight: (C', C, k, k) with odd k.
        use_mmcv: Whether to use mmcv's compiled operator.

    Returns:
        Tensor: (N, C', H, W).

    Raises:
        ValueError: The map has a single row or column.
    """
    if use_mmcv and not x.is_meta:  # mmcv's operator has no form for counting on the meta device
        from mmcv.ops import deform_conv2d

        return deform_conv2d(x, offset, weight, 1, weight.shape[-1] // 2)
    height, width = x.shape[2:]
    if min(height, width) < 2:
        raise ValueError(
            f'deform_conv: a map of {height}x{width} pixels has no neighbors to sample between'
        )
    kernel_size = weight.shape[-1]
    # A flow of 1 moves by (W - 1) / 2W pixels; see flow_warp.
    unit = [2 * s / (s - 1) for s in (width, height)]
    out = x.new_zeros(())
    for tap in range(kernel_size**2):
        row, column = divmod(tap, kernel_size)
        dx = (offset[:, 2 * tap + 1] + column - kernel_size // 2) * unit[0]
        dy = (offset[:, 2 * tap] + row - kernel_size // 2) * unit[1]
        sampled = flow_warp(x, torch.stack([dx, dy], dim=1))
        out = out + F.conv2d(sampled, weight[:, :, row, column, None, None])
    return out


@MODELS.register_module()
class DeformableAlignmentModule(FlowPredictor):
    """Upsamples a coarse map and convolves it at offsets that are predicted like FAM's flow.

    Args:
        channels: Channels of both maps.
        kernel_size: Kernel of the convolution that predicts the offsets.
        deform_kernel_size: Kernel of the deformable convolution.
        backend: ``'native'`` (plain torch), ``'mmcv'`` (its compiled operator) or ``'auto'``, which
            takes mmcv's if it is there.
        align_corners: ``align_corners`` of the bilinear upsampling of the coarse map.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: ``channels`` is odd, a kernel is even, or ``backend`` is unknown.
        ModuleNotFoundError: ``backend`` is ``'mmcv'``, and the compiled mmcv is not installed.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        deform_kernel_size: int = 3,
        backend: str = 'auto',
        align_corners: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        check_odd('DeformableAlignmentModule', deform_kernel_size=deform_kernel_size)
        use_mmcv = uses_mmcv('DeformableAlignmentModule', backend)
        self.flow_channels = 2 * deform_kernel_size**2
        super().__init__(channels, kernel_size, align_corners=align_corners, init_cfg=init_cfg)
        self.use_mmcv = use_mmcv
        self.weight = nn.Parameter(
            torch.empty(channels, channels, deform_kernel_size, deform_kernel_size)
        )
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def init_weights(self) -> None:
        """Initialize as a plain convolution: all offsets are zero."""
        super().init_weights()
        nn.init.zeros_(self.flow_make.weight)
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Align ``high`` (N, C, h, w) to ``low`` (N, C, H, W); returns (N, C, H, W)."""
        offset = self.flow_of_halves(*self.project(low, high))
        high = self.upsample(high, low)
        return deform_conv(high, offset, self.weight, self.use_mmcv)
