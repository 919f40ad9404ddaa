"""Writes an ONNX file in INT8 after training, and keeps it only if it still segments well.

By NNCF for OpenVINO, by ONNX Runtime's own tool for the others. Weights and activations become
quantize-dequantize pairs in the graph; what :mod:`.float_parts` names stays in float.
"""

import contextlib
import json
import logging
import os
import statistics
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.utils import ProgressBar

from sfnet_mm.deploy.runtimes import load_runtime
from sfnet_mm.deploy.runtimes.base import Runtime
from sfnet_mm.utils.timer import Timer
from sfnet_mm.utils.tooling import require, whole_file

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
    """Quantize a file of ``export_onnx.py``, and score both on the val set of a config.

    Args:
        path: Path of the float32 file.
        out: The file to write, ending in ``.onnx``; it appears only if it loses little.
        target: One of ``TARGETS``. A file for TensorRT is scored and timed in ONNX Runtime.
        cfg: Its training images calibrate, its val set scores, its test pipeline prepares both.
        samples: How many training images, spread evenly over the set.
        max_drop: How many points of mIoU may be lost.
        keep: What stays in float, some of :data:`.float_parts.PARTS`.
        rounds: Number of rounds of the comparison of speed.
        threads: Number of threads of the runtime; 0 leaves it to the runtime.

    Raises:
        ImportError: A package is not installed.
        ValueError: A bad argument or file; a set that is empty or of other classes.
        RuntimeError: It lost more than ``max_drop``; nothing was written.
    """
    if target not in TARGETS:
        raise ValueError(f'runtime {target!r} is not one of {", ".join(TARGETS)}')
    if not out.endswith('.onnx'):
        raise ValueError(f'{out} must end in .onnx')
    name = 'openvino' if target == 'openvino' else 'onnxruntime'
    runtime = load_runtime(name, path, threads=threads)
    _check(runtime, path)
    check_parts(keep)
    use_test_pipeline(runtime, cfg)
    training, val = (read_data(cfg, split, runtime.classes) for split in ('train', 'val'))
    inputs = CalibrationInputs(runtime, training, samples)
    before = class_scores(runtime, val, cfg, 'float')
    print(f'calibration: {len(inputs)} images', flush=True)
    with whole_file(out, '.onnx') as temporary:
        save_int8(path, temporary, target, inputs, keep)
        small = load_runtime(name, temporary, threads=threads)
        use_test_pipeline(small, cfg)
        found = Quantized(before, class_scores(small, val, cfg, 'INT8'))
        if not found.drop <= max_drop:
            raise RuntimeError(
                f'INT8 loses {found.drop:.2f} mIoU, more than --max-drop {max_drop}: nothing was '
                f'written; classes that fell: {", ".join(found.fallen())}'
            )
        found.bytes_before, found.bytes_after = os.path.getsize(path), os.path.getsize(temporary)
        found.speed = speed_ratio(runtime, small, next(iter(inputs)), rounds)
    return found


def save_int8(
    path: str, out: str, target: str, inputs: Collection[np.ndarray], keep: Sequence[str] = PARTS
) -> None:
    """Quantize a file, unseen.

    Args:
        path: See :func:`quantize`.
        out: See :func:`quantize`.
        target: See :func:`quantize`.
        inputs: Inputs of the graph, one for each image.
        keep: See :func:`quantize`.
    """
    onnx = require('onnx', INSTALL)
    proto = onnx.load(path)
    meta = {p.key: json.loads(p.value) for p in proto.metadata_props}
    kept = float_nodes(proto, keep)
    if target == 'openvino':
        proto = _by_nncf(proto, inputs, kept)
    else:
        proto = _by_onnx_runtime(proto, inputs, kept, symmetric=target == 'tensorrt')
    # In place of all entries, since the tools add some of their own.
    store_metadata(proto, dict(meta, precision='int8', fastest_in=target, kept_in_float=list(keep)))
    with whole_file(out, '.onnx') as temporary:
        onnx.save(proto, temporary)


def _check(runtime: Runtime, path: str) -> None:
    if runtime.meta['output'] == 'panoptic':
        raise ValueError(f'{path} is panoptic: only files of semantic segmentation are quantized')
    precision = runtime.meta.get('precision', 'float32')
    if precision != 'float32':
        raise ValueError(f'{path} is {precision}: quantize the float32 file')


def _by_nncf(proto: Any, inputs: Collection[np.ndarray], kept: list[str]) -> Any:
    nncf = require('nncf', 'pip install -r requirements/quantize.txt', 'NNCF')
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
            self.arrays = _with_progress(inputs, len(inputs))

        def get_next(self) -> Any:
            data = next(self.arrays, None)
            return None if data is None else {name: data}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        files = [os.path.join(folder, file) for file in ('float.onnx', 'int8.onnx')]
        onnx.save(proto, files[0])
        tool.quantize_static(
            *files,
            Reader(),
            quant_format=tool.QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            per_channel=True,
            # TensorRT takes signed numbers around zero, and biases in float.
            activation_type=tool.QuantType.QInt8 if symmetric else tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={
                'ActivationSymmetric': symmetric,
                'QuantizeBias': not symmetric,
                # What convolutions give stays in float: the ranges of flows and of sums are wide.
                'OpTypesToExcludeOutputQuantization': ['Conv'],
            },
        )
        print()
        return onnx.load(files[1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice of ONNX Runtime's tool to change the graph first, which is done."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _with_progress(arrays: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    progress = ProgressBar(count)
    for array in arrays:
        yield array
        progress.update()


def speed_ratio(slow: Runtime, fast: Runtime, data: np.ndarray, rounds: int) -> float:
    """Frame rate of one runtime over that of another, the median over interleaved rounds."""
    ratios: list[float] = []
    for turn in range(-2, rounds):  # two rounds that warm up
        pair = (slow, fast) if turn % 2 else (fast, slow)
        times = {}
        for runtime in pair:
            with Timer() as timer:
                runtime.infer(data)
            times[runtime] = timer.milliseconds
        if turn >= 0:
            ratios.append(times[slow] / times[fast])
    return statistics.median(ratios)
