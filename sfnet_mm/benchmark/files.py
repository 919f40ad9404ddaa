"""Exports a model for a benchmark and runs the file in ONNX Runtime or OpenVINO."""

import copy
import os.path as osp
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sfnet_mm.deploy.export import export_onnx
from sfnet_mm.deploy.export.calibration import (
    CalibrationInputs,
    class_scores,
    mean_score,
    read_data,
    use_test_pipeline,
)
from sfnet_mm.deploy.export.quantization import save_int8
from sfnet_mm.deploy.runtimes import load_runtime
from sfnet_mm.utils.made_files import text_digest
from sfnet_mm.version import __version__

# These are the precisions of each runtime besides float32.
PRECISIONS: dict[str, tuple[str, ...]] = {
    'onnxruntime': ('int8',),
    'openvino': ('bf16', 'f16', 'int8'),
}


class FileCall:
    """A forward pass of a model in a graph runtime. The file is made unless the cache has it.

    Args:
        name: Name of the model, which becomes part of the file name.
        backend: ``'onnxruntime'`` or ``'openvino'``. A suffix, ``@`` and one of ``PRECISIONS``,
            sets another precision.
        model: A segmentor in evaluation mode.
        sample: Normalized image (1, C, H, W).
        settings: See :class:`sfnet_mm.benchmark.backends.Settings`.
    """

    def __init__(
        self, name: str, backend: str, model: nn.Module, sample: Tensor, settings: Any
    ) -> None:
        self.cfg = model.cfg
        self.checkpoint = settings.checkpoint
        kind, _, precision = backend.partition('@')
        height, width = settings.size
        # A file that was made from another config, checkpoint or version is made again.
        made_by = (__version__, torch.__version__, str(model.cfg.model), str(settings.checkpoint))
        digest = text_digest('\n'.join(made_by))[:8]
        stem = f'{name}_{digest}_{height}x{width}_{settings.output}_{kind}'
        path = osp.join(settings.cache, f'{stem}.onnx')
        if not osp.isfile(path):
            model = copy.deepcopy(model).cpu()
            model.test_cfg = dict(mode='whole')  # Sliding windows are not timed.
            model.cfg = None
            export_onnx(model, path, settings.size, settings.output, runtime=kind)
        options = {'threads': settings.threads}
        self.data = sample.numpy()
        if precision == 'int8':
            path = self._quantized(path, kind, settings)
        elif precision:
            options['precision'] = precision
        self.runtime = load_runtime(kind, path, **options)
        self.megabytes = osp.getsize(path) / 1e6

    def __call__(self) -> np.ndarray:
        """Run one forward pass."""
        return self.runtime.infer(self.data)

    def _quantized(self, path: str, kind: str, settings: Any) -> str:
        images = f'_{settings.samples}' if self.checkpoint else ''
        out = f'{path[: -len(".onnx")]}_int8{images}.onnx'
        if osp.isfile(out):
            return out
        # The speed of random weights does not depend on the images of the calibration.
        inputs: Any = [self.data]
        if self.checkpoint:
            runtime = load_runtime('onnxruntime', path, threads=settings.threads)
            use_test_pipeline(runtime, self.cfg)
            training = read_data(self.cfg, 'train', runtime.classes)
            inputs = CalibrationInputs(runtime, training, settings.samples)
        save_int8(path, out, kind, inputs)
        return out

    def scores(self) -> dict[str, float]:
        """Return mean IoU, and boundary IoU if the config has it, on its val set, in percent."""
        use_test_pipeline(self.runtime, self.cfg)
        val = read_data(self.cfg, 'val', self.runtime.classes)
        found = class_scores(self.runtime, val, self.cfg, 'val')
        return {kind: mean_score(scores) for kind, scores in found.items()}
