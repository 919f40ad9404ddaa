"""A convolution of concatenated maps that does not concatenate them."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ConcatConv2d(nn.Conv2d):
    """``nn.Conv2d`` of maps concatenated over channels: the sum of the convolutions of each.

    The concatenated map of the flow predictor has as many values as the fine map; writing it and
    reading it again takes as long as the convolution does. Arguments and weights are those of
    ``nn.Conv2d``, with zeros for padding.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (N, C_i, H, W), with ``in_channels`` in all, to (N, out_channels, H, W).

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
