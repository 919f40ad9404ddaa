"""The correlation of FlowNet-C, which the paper compares with FAM's concatenation (Table 9c).

FlowNet: Learning Optical Flow with Convolutional Networks, https://arxiv.org/abs/1504.06852,
section 3, Eq. 1, with patches of one pixel.
"""

import torch
from torch import Tensor

from .local_windows import shifted_views


def local_correlation(x: Tensor, y: Tensor, max_displacement: int) -> Tensor:
    """Compare each pixel of ``x`` with the pixels of ``y`` around the same place.

    Args:
        x: (N, C, H, W).
        y: (N, C, H, W), zero outside.
        max_displacement: Largest displacement D in pixels, in x and in y.

    Returns:
        Tensor: (N, (2D + 1)^2, H, W), the mean over channels of the products. The displacements of
        ``y`` are ordered row by row, from -D to D in both directions.
    """
    views = shifted_views(y, 2 * max_displacement + 1)
    return torch.stack([(x * view).mean(1) for view in views], dim=1)
