"""Compares the warp as ``GridSample`` with the warp as ``Gather`` in the file of one network."""

import os.path as osp
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sfnet_mm.deploy.inference.upsampled_argmax import classes_of
from sfnet_mm.deploy.runtimes import load_runtime
from sfnet_mm.utils.tooling import require

from .onnx_graph import OPSET, count_nodes, read_onnx
from .opsets import GRID_SAMPLE
from .parity import INSTALL
from .portable_warp import convert_warps


def compare_forms(
    path: str,
    image: np.ndarray,
    opset: int = OPSET,
    runtimes: Sequence[str] = ('onnxruntime', 'openvino'),
) -> dict[str, Any]:
    """Rewrite the warps of a file as ``Gather``, and run both forms in the same runtimes.

    Both are in the same opset, or in 16 where the other is older, so that nothing but the warps
    differs.

    Args:
        path: Path of a file of opset 18 with ``GridSample`` that ends in logits or is panoptic.
        image: Input (1, C, H, W) of the graph.
        opset: Opset of the form with ``Gather``.
        runtimes: Names of runtimes.

    Returns:
        dict: ``samplers``, the number of ``GridSample`` in the file. If there are any, also the
        ``opset``, the ``largest`` absolute output, and for each runtime the largest
        ``difference`` of an output and the share of pixels of the same class or kernel
        (``agreement``).
    """
    samplers = count_nodes(path)
    found: dict[str, Any] = {'samplers': samplers}
    if not samplers:
        return found
    with tempfile.TemporaryDirectory() as folder:
        opsets = dict(gridsample=max(opset, GRID_SAMPLE), gather=opset)
        files = {warp: osp.join(folder, f'{warp}.onnx') for warp in opsets}
        for warp, file in files.items():
            proto = convert_warps(read_onnx(path), warp, opsets[warp])
            require('onnx', INSTALL).save(proto, file)
        found['opset'] = opset
        for name in runtimes:
            pair = [load_runtime(name, file) for file in files.values()]
            outputs = [runtime.infer_all(image) for runtime in pair]
            maps = [
                classes_of(torch.from_numpy(np.array(out[-1])), pair[0].meta.get('threshold'))
                for out in outputs
            ]
            found['largest'] = max(float(np.abs(x).max()) for x in outputs[0])
            found[name] = {
                'difference': max(float(np.abs(a - b).max()) for a, b in zip(*outputs)),
                'agreement': float((maps[0] == maps[1]).double().mean()),
            }
    return found
