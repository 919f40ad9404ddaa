"""Bilinear resizing, and the other kinds of upsampling inside FAM (Table 9a)."""

from collections.abc import Sequence

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice


class UpsampleTo(nn.Module):
    """Resizes a coarse map to the size of a finer one.

    Args:
        channels: Channels of the map.
        mode: ``'bilinear'``, ``'nearest'``, or ``'deconv'``, a 4x4 transposed
            convolution of stride 2, which is cut where the finer side is odd. Only ``'deconv'`` has
            parameters.
        align_corners: ``align_corners`` of the bilinear mode.

    Raises:
        ValueError: ``mode`` is unknown. In ``forward``, ``'deconv'`` has sizes that are not 2:1.
    """

    modes = ('bilinear', 'nearest', 'deconv')

    def __init__(self, channels: int, mode: str = 'bilinear', align_corners: bool = True) -> None:
        super().__init__()
        check_choice('UpsampleTo', self.modes, upsample=mode)
        self.mode, self.align_corners = mode, align_corners
        if mode == 'deconv':
            self.deconv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Resize ``x`` (N, C, h, w) to the size of ``reference`` (N, C', H, W)."""
        size = reference.shape[2:]
        if self.mode == 'bilinear':
            return resize(x, size, self.align_corners)
        if self.mode == 'nearest':
            return F.interpolate(x, size=size, mode='nearest')
        for fine, coarse in zip(size, x.shape[2:]):
            if (fine + 1) // 2 != coarse:
                raise ValueError(
                    f"upsample='deconv' doubles the size, but {tuple(x.shape[2:])} "
                    f"must become {tuple(size)}: take 'bilinear' or 'nearest'"
                )
        return self.deconv(x)[..., : size[0], : size[1]]


def resize(x: Tensor, size: Sequence[int], align_corners: bool = True) -> Tensor:
    """Resize a map bilinearly.

    Args:
        x: (N, C, h, w). It is returned unchanged if it has the size; sizes that an export leaves
            open are not compared.
        size: (H, W).
        align_corners: Whether the centers of the corner pixels stay where they are. False treats
            pixels as areas, for values that belong to the cells of a grid (offsets, kernels).

    Returns:
        Tensor: (N, C, H, W).
    """
    known = all(isinstance(side, int) for side in (*x.shape[2:], *size))
    if known and tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=align_corners)
