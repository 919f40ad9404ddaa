"""Adds metadata to an ONNX segmentor of another project."""

import contextlib
import os.path as osp
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from sfnet_mm.deploy.image_pipeline import check_portable, pipeline_steps
from sfnet_mm.deploy.model import complete_meta
from sfnet_mm.deploy.runtimes.files import check_file
from sfnet_mm.utils.tooling import require
from sfnet_mm.version import __version__

from .onnx_graph import read_onnx, store_metadata
from .parity import INSTALL


@contextlib.contextmanager
def with_metadata(
    path: str,
    cfg: Config,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
) -> Iterator[str]:
    """Give the path of a file that has metadata: the file itself, or a temporary copy.

    Args:
        path: Path of an ONNX file.
        cfg: Its test pipeline prepares the images of a file without metadata.
        classes: Names of the classes. They, ``mean`` and ``std`` are only for a file without
            metadata.
        mean: Mean of each channel, in the order that the graph takes.
        std: Standard deviation of each channel, in the same order.
        bgr: Whether the graph takes BGR and not RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has metadata and arguments were given as well, it has none and they
            were not given, or it is not a segmentor of one image.
    """
    onnx = require('onnx', INSTALL)
    check_file(path, '.onnx')
    proto = read_onnx(path)
    given = [x is not None for x in (classes, mean, std)]
    if any(p.key == 'sfnet_mm' for p in proto.metadata_props):
        if any(given) or bgr:
            raise ValueError(
                f'{path} has metadata of sfnet_mm: leave --classes, --mean, --std and --bgr out'
            )
        yield path
        return
    if not all(given):
        raise ValueError(f'{path} has no metadata of sfnet_mm: give --classes, --mean and --std')
    store_metadata(proto, foreign_metadata(proto, path, cfg, classes, mean, std, bgr))
    with tempfile.TemporaryDirectory() as folder:
        copied = osp.join(folder, osp.basename(path))
        onnx.save(proto, copied)
        try:
            yield copied
        except (RuntimeError, ValueError) as e:
            kind = ValueError if isinstance(e, ValueError) else RuntimeError
            raise kind(str(e).replace(copied, path)) from None


def foreign_metadata(
    proto: Any,
    path: str,
    cfg: Config,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    bgr: bool,
) -> dict[str, Any]:
    """Make the entries of :func:`.metadata.metadata` from the shapes and the arguments.

    Raises:
        ValueError: The graph is not a segmentor of one float32 image, or the arguments do not fit.
    """
    onnx = require('onnx', INSTALL)
    constants = {value.name for value in proto.graph.initializer}
    images = [v for v in proto.graph.input if v.name not in constants]
    inputs = [_shape(v) for v in images]
    outputs = [_shape(v) for v in proto.graph.output]
    fits = [len(s) for s in inputs] == [4] and [len(s) for s in outputs] in ([3], [4])
    if not fits or inputs[0][0] > 1:
        raise ValueError(
            f'{path} has inputs {inputs} and outputs {outputs}: expected one image (1, C, H, W) '
            'and logits (1, K, h, w) or classes (1, h, w)'
        )
    dtype = images[0].type.tensor_type.elem_type
    if dtype != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(dtype)
        raise ValueError(f'{path} takes an image of {kind}: expected FLOAT (float32)')
    channels, *size = inputs[0][1:]
    if not channels == len(mean) == len(std):
        raise ValueError(
            f'{path} takes {channels} channels: give as many --mean ({len(mean)}) and --std '
            f'({len(std)})'
        )
    if not min(std) > 0:
        raise ValueError(f'--std {min(std)} is not above 0')
    logits = len(outputs[0]) == 4
    if logits and outputs[0][1] not in (0, len(classes)):
        raise ValueError(f'{path} gives {outputs[0][1]} classes, but --classes {len(classes)}')
    loading, steps = pipeline_steps(cfg)
    check_portable(steps, cfg.filename or 'the config')
    names = complete_meta({}, {'classes': list(classes)})
    return {
        'sfnet_mm': __version__,
        'input': 'normalized',
        'channels': channels,
        'size': size if all(size) else None,
        'mean': list(mean),
        'std': list(std),
        'bgr_to_rgb': channels == 3 and not bgr,
        'loading': loading,
        'pipeline': steps,
        'padding': None,
        'slide': None,
        'output': 'logits' if logits else 'argmax',
        'output_size': 'full' if outputs[0][-2:] == size else 'stride',
        'align_corners': False,
        'threshold': None,
        'precision': 'float32',
        'num_classes': len(classes),
        'classes': list(classes),
        'palette': [list(color) for color in names['palette']],
    }


def _shape(value: Any) -> list[int]:
    """Return the shape of a value, with 0 for an open side."""
    return [side.dim_value for side in value.type.tensor_type.shape.dim]
