"""Quantizes an ONNX file to INT8 after training, and keeps the result only if it loses little.

NNCF quantizes for OpenVINO, and ONNX Runtime's own tool for the other runtimes. They put pairs of
quantize and dequantize nodes into the graph. The nodes that :mod:`.float_parts` names stay in
float.
"""

import contextlib
import logging
import math
import os
import statistics
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.utils import track_iter_progress

from sfnet_mm.deploy.runtimes import load_runtime
from sfnet_mm.deploy.runtimes.base import Runtime
from sfnet_mm.deploy.runtimes.files import decode_entries
from sfnet_mm.utils.arguments import check_least
from sfnet_mm.utils.timer import Timer
from sfnet_mm.utils.tooling import atomic_file, first_line, require

from .calibration import CalibrationInputs, class_scores, read_data, use_test_pipeline
from .float_parts import PARTS, check_parts, float_nodes
from .onnx_graph import store_metadata
from .parity import INSTALL
from .quantization_report import Quantized

TARGETS = ('openvino', 'onnxruntime', 'tensorrt')


def quantize(
    path: str,
    out: str,
    target: str,
    cfg: Config,
    samples: int = 300,
    max_drop: float = 1.0,
    keep: Sequence[str] = PARTS,
    rounds: int = 30,
    threads: int = 0,
) -> Quantized:
    """Quantize a file of ``export_onnx.py``, and score both files on the val set of a config.

    Args:
        path: Path of the float32 file.
        out: Path of the file to write, ending in ``.onnx``. It appears only if it loses little.
        target: One of ``TARGETS``. A file for TensorRT is scored and timed in ONNX Runtime.
        cfg: Config whose training images calibrate, whose val set scores, and whose test pipeline
            prepares the images of both.
        samples: Number of training images, which are spread evenly over the set.
        max_drop: Largest loss of mIoU, in points.
        keep: Parts that stay in float, some of :data:`.float_parts.PARTS`.
        rounds: Number of rounds of the comparison of speed.
        threads: Number of threads of the runtime; 0 leaves it to the runtime.

    Raises:
        ImportError: A package is not installed.
        ValueError: An argument or a file is invalid, or a data set is empty or has other classes.
        RuntimeError: The file lost more than ``max_drop``. Nothing was written.
    """
    if target not in TARGETS:
        raise ValueError(f'runtime {target!r} is not one of {", ".join(TARGETS)}')
    if not out.endswith('.onnx'):
        raise ValueError(f'{out} must end in .onnx')
    check_least('quantize', 1, rounds=rounds)
    check_least('quantize', 0, threads=threads)
    if math.isnan(max_drop):
        raise ValueError(f'quantize: max_drop={max_drop} is no number of points')
    if target == 'openvino':
        _require_nncf()  # before the float file is scored, which takes long
    name = 'openvino' if target == 'openvino' else 'onnxruntime'
    runtime = load_runtime(name, path, threads=threads)
    _check(runtime, path)
    check_parts(keep)
    use_test_pipeline(runtime, cfg)
    training, val = (read_data(cfg, split, runtime.classes) for split in ('train', 'val'))
    inputs = CalibrationInputs(runtime, training, samples)
    before = class_scores(runtime, val, cfg, 'float')
    print(f'calibration: {len(inputs)} images', flush=True)
    with atomic_file(out, '.onnx') as temporary:
        save_int8(path, temporary, target, inputs, keep)
        small = load_runtime(name, temporary, threads=threads)
        use_test_pipeline(small, cfg)
        found = Quantized(before, class_scores(small, val, cfg, 'INT8'))
        if not found.drop <= max_drop:
            raise RuntimeError(
                f'INT8 loses {found.drop:.2f} mIoU, more than --max-drop {max_drop}: nothing was '
                f'written; classes that fell: {", ".join(found.worsened_classes())}'
            )
        found.bytes_before, found.bytes_after = os.path.getsize(path), os.path.getsize(temporary)
        found.speed = speed_ratio(runtime, small, next(iter(inputs)), rounds)
    return found


def save_int8(
    path: str, out: str, target: str, inputs: Collection[np.ndarray], keep: Sequence[str] = PARTS
) -> None:
    """Quantize a file without scoring it.

    Args:
        path: See :func:`quantize`.
        out: See :func:`quantize`.
        target: See :func:`quantize`.
        inputs: Inputs of the graph, one for each image.
        keep: See :func:`quantize`.

    Raises:
        ImportError: A package is not installed.
        RuntimeError: The tool cannot quantize the graph.
    """
    onnx = require('onnx', INSTALL)
    proto = onnx.load(path)
    meta = decode_entries({p.key: p.value for p in proto.metadata_props})
    kept = float_nodes(proto, keep)
    try:
        if target == 'openvino':
            proto = _by_nncf(proto, inputs, kept)
        else:
            proto = _by_onnx_runtime(proto, inputs, kept, symmetric=target == 'tensorrt')
    except ImportError:
        raise
    except Exception as e:  # The tools end in any way on a graph that they do not know.
        reason = first_line(e) or type(e).__name__
        raise RuntimeError(f'{path} cannot be quantized for {target}: {reason}') from None
    # The metadata replace all entries, because the tools add some of their own.
    store_metadata(proto, dict(meta, precision='int8', fastest_in=target, kept_in_float=list(keep)))
    with atomic_file(out, '.onnx') as temporary:
        onnx.save(proto, temporary)


def _check(runtime: Runtime, path: str) -> None:
    if runtime.meta['output'] == 'panoptic':
        raise ValueError(f'{path} is panoptic: only files of semantic segmentation are quantized')
    precision = runtime.meta.get('precision', 'float32')
    if precision != 'float32':
        raise ValueError(f'{path} is {precision}: quantize the float32 file')


def _require_nncf() -> Any:
    """Import NNCF, which quantizes files for OpenVINO."""
    return require('nncf', 'pip install -r requirements/quantize.txt', 'NNCF')


def _by_nncf(proto: Any, inputs: Collection[np.ndarray], kept: list[str]) -> Any:
    nncf = _require_nncf()
    nncf.set_log_level(logging.ERROR)
    name = proto.graph.input[0].name
    return nncf.quantize(
        proto,
        nncf.Dataset(inputs, lambda data: {name: data}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
    )


def _by_onnx_runtime(
    proto: Any, inputs: Collection[np.ndarray], kept: list[str], symmetric: bool
) -> Any:
    onnx = require('onnx', INSTALL)
    tool = require('onnxruntime.quantization', INSTALL)
    name = proto.graph.input[0].name

    class Reader(tool.CalibrationDataReader):
        def __init__(self) -> None:
            self.arrays = track_iter_progress((inputs, len(inputs)))

        def get_next(self) -> Any:
            data = next(self.arrays, None)
            return None if data is None else {name: data}

    with tempfile.TemporaryDirectory() as folder, _hide_advice():
        files = [os.path.join(folder, file) for file in ('float.onnx', 'int8.onnx')]
        onnx.save(proto, files[0])
        tool.quantize_static(
            *files,
            Reader(),
            quant_format=tool.QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            per_channel=True,
            # TensorRT requires symmetric signed numbers, and biases in float.
            activation_type=tool.QuantType.QInt8 if symmetric else tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={
                'ActivationSymmetric': symmetric,
                'QuantizeBias': not symmetric,
                # The outputs of convolutions stay in float, because flows and sums have wide
                # ranges.
                'OpTypesToExcludeOutputQuantization': ['Conv'],
            },
        )
        return onnx.load(files[1])


@contextlib.contextmanager
def _hide_advice() -> Iterator[None]:
    """Hide the advice of ONNX Runtime's tool to preprocess the graph, which is done already."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def speed_ratio(slow: Runtime, fast: Runtime, data: np.ndarray, rounds: int) -> float:
    """Return the ratio of the frame rates of two runtimes, a median over interleaved rounds."""
    ratios: list[float] = []
    for turn in range(-2, rounds):  # The first two rounds warm up.
        pair = (slow, fast) if turn % 2 else (fast, slow)
        times = {}
        for runtime in pair:
            with Timer() as timer:
                runtime.infer(data)
            times[runtime] = timer.milliseconds
        if turn >= 0:
            ratios.append(times[slow] / times[fast])
    return statistics.median(ratios)
