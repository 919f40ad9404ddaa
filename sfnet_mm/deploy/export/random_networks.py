"""Makes networks and images for comparing runtimes without trained weights and data."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfnet_mm.deploy.model import input_channels, pad_to_stride
from sfnet_mm.utils.config import fit_to_cpu, read_config

# These entries of a model do not change the graph of its inference, except for the number of
# classes, which changes only the last layer.
_NOT_IN_GRAPH = (
    *('data_preprocessor', 'auxiliary_head', 'train_cfg', 'test_cfg', 'init_cfg', 'pretrained'),
    *('loss_decode', 'sampler', 'dropout_ratio', 'norm_eval', 'ignore_index', 'num_classes'),
)


def distinct_networks(configs: Sequence[str]) -> list[str]:
    """Select the first config of every distinct network, in their order."""
    first: dict[str, str] = {}
    for path in configs:
        cfg = read_config(path)
        fit_to_cpu(cfg)
        first.setdefault(repr(_keep_graph_entries(cfg.model.to_dict())), path)
    return list(first.values())


def _keep_graph_entries(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _keep_graph_entries(node[k]) for k in sorted(node) if k not in _NOT_IN_GRAPH}
    return [_keep_graph_entries(item) for item in node] if isinstance(node, (list, tuple)) else node


def random_images(count: int, size: tuple[int, int], seed: int, channels: int) -> Tensor:
    """Draw images (N, channels, H, W) with structure at all scales, mean 0 and variance about 1.

    White noise would not do: all its averages are the same, so that layers that normalize averages
    would divide by nearly zero.
    """
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(count, channels, *size)
    scale = 1
    while scale < max(size):
        cells = [max(1, side // scale) for side in size]
        octave = torch.randn(count, channels, *cells, generator=generator)
        image += F.interpolate(octave, size=size, mode='bilinear', align_corners=True)
        scale *= 4
    return image / image.std()


def set_realistic_statistics(model: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Scale the features and flows of a model with random weights as training would.

    Batch normalization gets varied weights and the statistics of random images. Without them,
    features would grow from layer to layer.

    Args:
        model: A segmentor or a panoptic model, which is changed in place.
        size: (height, width) of the images that the model will get.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        nn.init.uniform_(m.weight, 0.8, 1.2)
        nn.init.normal_(m.bias, 0, 0.1)
        m.train()
        m.momentum = 1.0
    for m in model.modules():
        if hasattr(m, 'flow_make'):
            m.flow_make.weight.data *= 2  # Flows are then one to two pixels long.
    with torch.no_grad():
        height, width = (side // 4 for side in size)
        image = random_images(8, (height, width), 1, input_channels(model))
        image = pad_to_stride(image)
        if hasattr(model, 'panoptic_head'):
            model.panoptic_head.predict(model.extract_feat(image), [])
        else:
            model.encode_decode(image, [dict(img_shape=image.shape[2:])])
    return model.eval()
