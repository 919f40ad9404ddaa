"""Exports panoptic models (K-Net) up to the masks of their kernels.

The graph holds backbone, neck and head. It does not merge masks into segments, which depends on the
scores and sizes of one image (``KNetFusionHead``).
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from sfnet_mm.deploy.export.checks import check_size
from sfnet_mm.deploy.export.onnx_graph import OPSET, check_path, trace, write_checked
from sfnet_mm.deploy.export.parity import AGREEMENT, TOLERANCE, Parity, open_onnx
from sfnet_mm.deploy.export.portable_warp import convert_warps, runtime_of_trace
from sfnet_mm.deploy.export.random_networks import random_images
from sfnet_mm.deploy.model import load_strictly, normalization, pad_to_stride
from sfnet_mm.ops.exporting import exporting_for
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.known_warnings import known_warnings_ignored
from sfnet_mm.version import __version__


def load_panoptic(
    config: str | Config, checkpoint: str | None = None, device: str = 'cpu'
) -> nn.Module:
    """Build a panoptic model in evaluation mode, strictly as ``load_model`` does.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        ValueError: The two do not belong together.
    """
    cfg = copy.deepcopy(read_config(config))
    for part in ('backbone', 'neck', 'panoptic_head'):
        # The weights come from the checkpoint.
        if cfg.model.get(part) is not None:
            cfg.model[part].pop('init_cfg', None)
    with DefaultScope.overwrite_default_scope('mmdet'), known_warnings_ignored():
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    if checkpoint is not None:
        name = config if isinstance(config, str) else config.filename or 'the config'
        load_strictly(model, checkpoint, name)
    return model.to(device).eval()


class PanopticGraph(nn.Module):
    """Maps an image to the class scores and masks of all kernels.

    Args:
        model: A panoptic model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, C, H, W) to scores (N, K, C) and masks (N, K, H' / 4, W' / 4).

        The images are normalized, and both results are probabilities. H' and W' are the sides of
        the image rounded up to multiples of 32. The image is padded at the bottom and on the right,
        as by the data preprocessor.
        """
        image = pad_to_stride(image)
        scores, masks = self.model.panoptic_head.predict(self.model.extract_feat(image), [])
        return scores.sigmoid(), masks


def mean_difference(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Compute the larger one of the mean differences of scores and of masks.

    Kernels are updated from masks that are thresholded at one half. Rounding that moves one pixel
    over the threshold changes a kernel, so the largest difference says little.
    """
    return max(float(np.abs(a - b).mean()) for a, b in zip(got, expected))


def export_panoptic_onnx(
    model: nn.Module,
    path: str,
    size: tuple[int, int] = (1024, 2048),
    runtime: str = 'onnxruntime',
    warp: str = 'gridsample',
    opset: int = OPSET,
) -> list[Parity]:
    """Export a panoptic model and compare the file in ONNX Runtime with torch.

    Args:
        model: A model of :func:`load_panoptic`.
        path: Path of the file to write, ending in ``.onnx``. Its input is ``image``, its outputs
            are ``scores`` and ``masks``; see :class:`PanopticGraph`.
        size: (height, width) of the image.
        runtime: See :func:`sfnet_mm.deploy.export_onnx`.
        warp: See :func:`sfnet_mm.deploy.export_onnx`.
        opset: See :func:`sfnet_mm.deploy.export_onnx`.

    Returns:
        list[Parity]: One comparison of scores, and of masks thresholded at one half.

    Raises:
        ImportError, ValueError, RuntimeError: See :func:`sfnet_mm.deploy.export_onnx`.
    """
    check_path(path)
    check_size(size)
    graph = PanopticGraph(model).eval()
    mean, std, swap = normalization(model)
    runtime = runtime_of_trace(runtime, warp)
    with exporting_for(runtime):
        proto = trace(graph, random_images(1, size, 0, len(mean)), ['scores', 'masks'])
    proto = convert_warps(proto, warp, opset)
    meta = {
        'sfnet_mm': __version__,
        'input': 'normalized',
        'size': size,
        'channels': len(mean),
        'mean': mean,
        'std': std,
        'bgr_to_rgb': swap,
        'output': 'panoptic',
        'fastest_in': runtime,
        'warp': warp,
    }
    sample = random_images(1, size, 1, len(mean))

    def compare(file: str) -> list[Parity]:
        with torch.no_grad():
            expected = [x.numpy() for x in graph(sample)]
        got = open_onnx(file)(sample)
        same = float(((got[1] > 0.5) == (expected[1] > 0.5)).mean())
        parity = Parity(float(np.abs(got[0] - expected[0]).max()), same, size)
        difference = mean_difference(got, expected)
        if difference > TOLERANCE['float32'] or same < AGREEMENT['float32']:
            raise RuntimeError(f'ONNX Runtime does not agree with torch, not written: {parity}')
        return [parity]

    return write_checked(proto, meta, path, compare)
