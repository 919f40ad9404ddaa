"""The whitening losses of RobustNet: IW, IRW and ISW.

RobustNet, https://arxiv.org/abs/2103.15597, sections 3 and 4.1-4.2 (authors'
``instance_whitening_loss`` and ``get_covariance_matrix``). All three are one formula; they differ
in the mask of penalized channel pairs and in the margin.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn as nn
from torch import Tensor

#: This is added to the diagonal of every covariance.
EPS = 1e-5


def instance_covariance(features: Tensor) -> Tensor:
    """Compute the covariance of the channels of each image.

    Args:
        features: (N, C, H, W), of zero mean per image and channel.

    Returns:
        Tensor: (N, C, C), ``F F^T / (HW - 1) + 1e-5 I`` for ``F`` of shape (C, HW), in float64 for
        float64 features and else in float32, under autocast too.

    Raises:
        ValueError: The maps have fewer than two pixels, so that there is no covariance.
    """
    pixels = features.shape[2] * features.shape[3]
    if pixels < 2:
        raise ValueError(
            f'instance_covariance: a map of shape {tuple(features.shape)} has no '
            'covariance, it needs two pixels or more'
        )
    with torch.autocast(features.device.type, enabled=False):
        x = features.flatten(2)
        x = x if x.dtype == torch.float64 else x.float()
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return x @ x.transpose(1, 2) / (pixels - 1) + EPS * eye


def whitening_loss(covariance: Tensor, mask: Tensor, margin: float = 0) -> Tensor:
    """Average ``max(0, sum(|covariance * mask|) - margin) / sum(mask)`` over the images.

    Args:
        covariance: (N, C, C), the result of :func:`instance_covariance`.
        mask: (C, C), 1 at the penalized pairs of channels; an empty one gives 0.
        margin: Sum of absolute covariance that is not penalized (IRW).

    Returns:
        Tensor: A scalar.
    """
    total = (covariance.abs() * mask).sum(dim=(1, 2))
    return ((total - margin).clamp(min=0) / mask.sum().clamp(min=1)).mean()


def strict_upper_triangle(channels: int) -> Tensor:
    """Mask (C, C) of every pair of different channels, each once, as IW and IRW penalize them."""
    return torch.ones(channels, channels).triu(diagonal=1)


@contextmanager
def collect_covariances(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Record the covariance of the output of each layer while the context is open.

    The maps themselves are not kept. Outside the context the layers have no hooks, so inference and
    export see a plain network.

    Args:
        layers: Modules by name.

    Yields:
        dict: Covariances (N, C, C) by the same names, filled as the layers run.
    """
    found: dict[str, Tensor] = {}

    def record(name: str):
        def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
            found[name] = instance_covariance(output)

        return hook

    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
