"""Convolves concatenated maps without concatenating them."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ConcatConv2d(nn.Conv2d):
    """``nn.Conv2d`` of maps concatenated over channels, as the sum of their convolutions.

    The concatenated map of the flow predictor has as many values as the fine map, so that writing
    and reading it would take as long as the convolution. Arguments and weights are those of
    ``nn.Conv2d`` with zero padding.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Convolve maps (N, C_i, H, W) to (N, out_channels, H, W); the C_i sum to ``in_channels``.

        Raises:
            RuntimeError: The channels do not add up.
        """
        weights = self.weight.split([x.shape[1] for x in maps], dim=1)
        outs = [
            F.conv2d(x, weight, None, self.stride, self.padding, self.dilation)
            for x, weight in zip(maps, weights)
        ]
        out = sum(outs[1:], outs[0])
        return out if self.bias is None else out + self.bias[:, None, None]
