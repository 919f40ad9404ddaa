"""Fusion of two maps by predicted low-pass and high-pass filters, in place of FAM.

Frequency-aware Feature Fusion for Dense Image Prediction, https://arxiv.org/abs/2408.12879
(authors' ``FreqFusion``).
"""

import torch
import torch.nn as nn
from mmengine.model import BaseModule, normal_init, xavier_init
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.ops.native import working_dtype
from sfnet_mm.utils.arguments import check_least, check_odd

from .local_windows import upsample_by_kernels
from .sampling import sample_by_offsets
from .similarity_offsets import SimilarityOffsets, same_conv


@MODELS.register_module()
class FreqFusionAlignment(BaseModule):
    """Smooths the coarse map where it is upsampled, moves it, and adds the fine map's details.

    Three parts predict from 1x1 projections of both maps:

    - a low-pass filter for each fine pixel, a softmax over the coarse pixels around it, which
      upsamples the coarse map;
    - offsets, by which the upsampled map is sampled again (:class:`SimilarityOffsets`);
    - a high-pass filter for each fine pixel: the fine map minus its mean under a softmax. It is
      added to the result, and the decoder adds the fine map itself.

    The logits of both filters are the sum of what one convolution predicts from each map. Those of
    the coarse map are upsampled by the filter that the fine map alone gives. A Hamming window
    weights all filters. Outside of the maps they read zeros, as mmcv's CARAFE does. Softmax, sums
    and offsets are computed in float32 (float64 for a float64 map). The authors' code takes a ratio
    of 2; here, a window is centered at the coarse pixel that contains the center of the fine pixel,
    so that any ratio is possible.

    Args:
        channels: Channels of both maps.
        compressed_channels: Channels of the projections, a multiple of 8.
        lowpass_kernel: Side of the window of the low-pass filter.
        highpass_kernel: Side of the window of the high-pass filter.
        encoder_kernel: Side of the kernel of the convolutions that predict filters and offsets.
        groups: Number of groups of channels with offsets of their own, which must divide
            ``channels``; 0 leaves the offsets out.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: A kernel is even, ``compressed_channels`` is not a positive multiple of 8, or
            ``groups`` does not divide ``channels``.
    """

    fuses = False

    def __init__(
        self,
        channels: int,
        compressed_channels: int = 64,
        lowpass_kernel: int = 5,
        highpass_kernel: int = 3,
        encoder_kernel: int = 3,
        groups: int = 4,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        name = 'FreqFusionAlignment'
        kernels = dict(lowpass_kernel=lowpass_kernel, highpass_kernel=highpass_kernel)
        check_odd(name, **kernels, encoder_kernel=encoder_kernel)
        check_least(name, 8, compressed_channels=compressed_channels)
        check_least(name, 0, groups=groups)
        if compressed_channels % 8 or groups and channels % groups:
            raise ValueError(
                f'{name}: compressed_channels={compressed_channels} must be a multiple of 8, and '
                f'groups={groups} must divide channels={channels}'
            )
        self.compress_fine = nn.Conv2d(channels, compressed_channels, 1)
        self.compress_coarse = nn.Conv2d(channels, compressed_channels, 1)
        self.lowpass = FilterPredictor(compressed_channels, lowpass_kernel, encoder_kernel)
        self.highpass = FilterPredictor(compressed_channels, highpass_kernel, encoder_kernel)
        self.offsets = None
        if groups:
            self.offsets = SimilarityOffsets(compressed_channels, groups, encoder_kernel)
        for layer in (self.compress_fine, self.compress_coarse):
            xavier_init(layer, distribution='uniform')

    def predict(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predict the filters, and the offsets if the module has them.

        Returns:
            Low-pass and high-pass kernels (N, k * k, H, W), each the weights of a mean, and offsets
            (N, 2, groups, H, W), x then y, in pixels of ``high``.
        """
        fine, coarse = self.compress_fine(low), self.compress_coarse(high)
        details = self.highpass(fine)
        fine = fine + high_frequencies(fine, self.highpass.normalize(details))
        smoothness = self.lowpass(fine)
        smoothness = smoothness + upsample_by_kernels(
            self.lowpass(coarse), self.lowpass.normalize(smoothness)
        )
        lowpass = self.lowpass.normalize(smoothness)
        details = details + upsample_by_kernels(self.highpass(coarse), lowpass)
        offset = None if self.offsets is None else self.offsets(fine, coarse)
        return lowpass, self.highpass.normalize(details), offset

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Upsample ``high`` (N, C, h, w) to ``low`` (N, C, H, W), whose details are added."""
        lowpass, highpass, offset = self.predict(low, high)
        upsampled = upsample_by_kernels(high, lowpass)
        if offset is not None:
            # The map has become finer, and an offset counts its pixels.
            ratios = [fine / coarse for fine, coarse in zip(low.shape[2:], high.shape[2:])]
            offset = torch.stack([offset[:, 0] * ratios[1], offset[:, 1] * ratios[0]], 1)
            upsampled = sample_by_offsets(upsampled, offset)
        return upsampled + high_frequencies(low, highpass)


def high_frequencies(x: Tensor, kernels: Tensor) -> Tensor:
    """Subtract from each pixel the mean of its window under ``kernels`` (N, k * k, H, W)."""
    return x - upsample_by_kernels(x, kernels)


class FilterPredictor(nn.Module):
    """Predicts the logits of a filter for each pixel, and normalizes them under a Hamming window.

    Args:
        channels: Input channels.
        kernel_size: Side of the filter.
        encoder_kernel: Side of the kernel of the convolution.
    """

    log_window: Tensor

    def __init__(self, channels: int, kernel_size: int, encoder_kernel: int) -> None:
        super().__init__()
        self.conv = same_conv(channels, kernel_size**2, encoder_kernel)
        side = torch.hamming_window(kernel_size, periodic=False, dtype=torch.float64)
        window = torch.outer(side, side).log().reshape(1, -1, 1, 1)
        self.register_buffer('log_window', window, persistent=False)
        normal_init(self.conv, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, k * k, H, W)."""
        return self.conv(x)

    def normalize(self, logits: Tensor) -> Tensor:
        """Compute weights that sum to 1 and are proportional to the window times exp(logits)."""
        dtype = working_dtype(logits)
        return (logits.to(dtype) + self.log_window.to(dtype)).softmax(1)
