"""Selects the covariances that ISW penalizes: those that change with color and blur.

RobustNet, https://arxiv.org/abs/2103.15597, section 4.3 (authors' ``CovMatrix_ISW``).

``kmeans1d`` finds the clusters. It is exact and deterministic. Lloyd's iterations, as in
``scipy.cluster.vq.kmeans2``, depend on their start and leave clusters empty for the larger ``k``
that RobustNet uses for some backbones (20 for MobileNet). It is a small optional dependency
(``requirements/robustnet.txt``), needed in training with ISW only.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def load_kmeans() -> Callable:
    """Import ``kmeans1d.cluster``.

    Raises:
        ImportError: It is not installed. The message has the install command.
    """
    try:
        from kmeans1d import cluster
    except ImportError:
        raise ImportError(
            'ISW clusters covariances with kmeans1d, which is not installed: pip install kmeans1d'
        ) from None
    return cluster


class PairVariance:
    """Running mean, over image pairs, of the variance of each covariance within the pair.

    It holds one C x C matrix per layer, whatever the number of pairs is.
    """

    def __init__(self) -> None:
        self.pairs = 0
        self._sums: dict[str, Tensor] = {}

    def update(self, covariances: dict[str, Tensor]) -> None:
        """Add one pair.

        Args:
            covariances: (2, C, C) by layer, those of an image and of its distorted copy.
        """
        for name, covariance in covariances.items():
            # The unbiased variance of two numbers is half their squared difference.
            variance = (covariance[0] - covariance[1]).double().square().triu(diagonal=1) / 2
            self._sums[name] = self._sums[name] + variance if name in self._sums else variance
        self.pairs += 1

    def mean(self) -> dict[str, Tensor]:
        """Return the mean by layer, (C, C) in float64; zero on and below the diagonal."""
        return {name: total / self.pairs for name, total in self._sums.items()}


def select_sensitive(variance: Tensor, k: int = 3) -> tuple[Tensor, int]:
    """Select the covariances outside the cluster of the lowest variance.

    As in RobustNet, all C * C values are clustered, including the zeros of the lower triangle.

    Args:
        variance: (C, C), zero on and below the diagonal.
        k: Number of clusters; RobustNet's scripts use 2 for ResNet-50 trained on Cityscapes and 3
            for the same trained on GTAV.

    Returns:
        Mask (C, C) of zeros and ones in float32 on the device of ``variance``, and its sum. It is
        empty where all variances are equal.

    Raises:
        ValueError: ``k`` is below 2, or a variance is not a number.
        ImportError: ``kmeans1d`` is not installed.
    """
    if k < 2:
        raise ValueError(
            f'select_sensitive: k={k} must be 2 or more, the lowest cluster is the '
            'one that is not penalized'
        )
    values = variance.double().cpu().numpy().ravel()
    if not np.isfinite(values).all():
        raise ValueError('select_sensitive: a variance is not finite; the network has diverged')
    k = min(k, len(np.unique(values)))
    if k < 2:
        return torch.zeros_like(variance, dtype=torch.float32), 0
    labels, _ = load_kmeans()(values.tolist(), k)  # labels ascend with the centroids
    sensitive = (np.asarray(labels) > 0).reshape(variance.shape)
    mask = torch.from_numpy(np.triu(sensitive, 1).astype(np.float32)).to(variance.device)
    return mask, int(mask.sum())
