"""Rearranges convolutions for inference: composes them and moves them before an upsampling.

A chain of convolutions without activation is one convolution. A 1x1 convolution and a bilinear
upsampling can change places. A kxk convolution is a 1x1 convolution to k * k times the channels,
whose parts are then shifted and added. So a kxk convolution of an upsampled map can do its
multiplications on the small map (:class:`TapConv2d`). For a map of full size, shifting pays only
for rows (:class:`RowConv2d`).
"""

from collections.abc import Iterable

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor

from sfnet_mm.ops.exporting import is_exporting

from .row_conv import LANES, add_at_offset, add_parts, add_shifted, fills_vectors, row_kernel
from .upsampling import resize

Size = tuple[int, int]


def make_conv(weight: Tensor, bias: Tensor | None, like: nn.Conv2d) -> nn.Conv2d:
    """Make a convolution of stride 1 that keeps the size; ``like`` gives its dtype and device."""
    out_channels, in_channels, height, width = weight.shape
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        (height, width),
        padding=(height // 2, width // 2),
        bias=bias is not None,
        device=like.weight.device,
        dtype=like.weight.dtype,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if bias is not None and conv.bias is not None:
            conv.bias.copy_(bias)
    return conv


def compose(outer: Tensor, inner: nn.Conv2d) -> Tensor:
    """Combine a 1x1 convolution and the kernel ``outer`` after it into one kernel, in float64."""
    return torch.einsum('omyx,mc->ocyx', outer.double(), inner.weight[:, :, 0, 0].double())


def padded_kernel(weight: Tensor, size: int) -> Tensor:
    """Pad a kernel to (O, C, size, size) with zeros around it."""
    margin = (size - weight.shape[-1]) // 2
    return F.pad(weight, [margin] * 4)


def is_plain(module: ConvModule) -> bool:
    """Return whether a layer is a plain convolution without normalization, maybe after folding."""
    has_no_norm = module.norm is None or isinstance(module.norm, nn.Identity)
    return has_no_norm and type(module.conv) is nn.Conv2d


def activation(module: ConvModule) -> nn.Module:
    """Return the activation of a ``ConvModule``; an identity if it has none."""
    return module.activate if module.with_activation else nn.Identity()


def bias_of(conv: nn.Conv2d) -> Tensor:
    """Return the bias of a convolution in float64; zeros if it has none."""
    if conv.bias is None:
        return conv.weight.new_zeros(conv.out_channels, dtype=torch.float64)
    return conv.bias.double()


class TapConv2d(nn.Module):
    """Zero-padded kxk convolution of a bilinearly upsampled map that multiplies on the small map.

    The module upsamples the rows and adds their k shifted results, and then does the same with the
    columns. The result is exact. On a CPU, where multiplications dominate, this takes about a third
    of the time for a map whose sides are a quarter of the output's.

    Args:
        weight: (O, C, k, k).
        like: Convolution of the weight, which gives dtype and device.
        align_corners: ``align_corners`` of the upsampling.
    """

    def __init__(self, weight: Tensor, like: nn.Conv2d, align_corners: bool = True) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.out_channels, in_channels, self.kernel, _ = weight.shape
        self.narrow = not fills_vectors(self.out_channels)
        # The taps of the rows, for each column of the kernel: (columns, k, channels, C).
        taps = weight.permute(3, 2, 0, 1)
        if self.narrow:
            # All columns are computed together, so that they fill the vectors of the CPU.
            taps = taps.transpose(0, 1).flatten(1, 2)[None]
            taps = F.pad(taps, (0, 0, 0, -taps.shape[2] % LANES))
        self.columns = nn.ModuleList(
            nn.ModuleList(make_conv(tap[:, :, None, None], None, like) for tap in column)
            for column in taps
        )

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Convolve (N, C, h, w) to (N, O, H, W); ``size`` is (H, W)."""
        columns = [self._add_rows(x, taps, size[0]) for taps in self.columns]  # type: ignore[arg-type]
        if self.narrow:
            return add_parts(
                self._upsampled(columns[0], size), self.out_channels, self.kernel, dim=3
            )
        center = self.kernel // 2
        out = self._upsampled(columns[center], size)
        for i, column in enumerate(columns):
            if i != center:
                column = self._upsampled(column, size)
                out = add_at_offset(out, column, i - center, dim=3)
        return out

    def _add_rows(self, x: Tensor, taps: Iterable[nn.Conv2d], height: int) -> Tensor:
        """Upsample the result of each tap to the height, shift it, and add all of them."""
        tall = (height, x.shape[3])
        if is_exporting():
            # Other runtimes copy a map when they split it, so each tap is a separate convolution.
            return add_shifted([self._upsampled(tap(x), tall) for tap in taps], dim=2)
        together = F.conv2d(x, torch.cat([tap.weight for tap in taps]))
        return add_shifted(self._upsampled(together, tall).chunk(self.kernel, dim=1), dim=2)

    def _upsampled(self, x: Tensor, size: Size) -> Tensor:
        return resize(x, size, self.align_corners)


class RowConv2d(nn.Module):
    """Zero-padded kxk convolution that shifts and adds the results of the single kernel rows.

    :mod:`sfnet_mm.models.layers.row_conv` gives the reason.

    Args:
        weight: (O, C, k, k).
        like: Convolution of the weight, which gives dtype and device.
    """

    def __init__(self, weight: Tensor, like: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels, self.kernel = weight.shape[0], weight.shape[-1]
        self.rows = make_conv(row_kernel(weight), None, like)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, O, H, W)."""
        return add_parts(self.rows(x), self.out_channels, self.kernel, dim=2)
