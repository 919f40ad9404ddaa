"""Writes a segmentor as an ONNX file and checks the file against torch.

The graph holds standard operators only, ``GridSample`` for the warp among them: three for SFNet,
two for SFNet-Lite, none for a model without flow.
"""

import copy
import json
import warnings
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from mmseg.models import BaseSegmentor
from torch import Tensor

from sfnet_mm.ops.exporting import exporting_for
from sfnet_mm.utils.tooling import require, whole_file
from sfnet_mm.version import __version__

from .image_pipeline import check_portable, pipeline_steps
from .model import normalization, sliding_windows
from .onnx_graph import INSTALL, to_float16, trace
from .optimize import InferenceModel, class_threshold, optimize
from .parity import Parity, compare_with_torch, judge


class HostForm(nn.Module):
    """A segmentor with the outputs of ``InferenceModel``, all computed by mmseg's own functions.

    Args:
        model: In evaluation mode; used, not copied.
        output: See :func:`sfnet_mm.deploy.optimize`.
        output_size: See :func:`sfnet_mm.deploy.optimize`.
    """

    def __init__(self, model: BaseSegmentor, output: str, output_size: str) -> None:
        super().__init__()
        self.model, self.output, self.output_size = model, output, output_size
        self.threshold = class_threshold(model)

    def forward(self, image: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K, h, w) or classes (N, h, w)."""
        if self.output_size == 'stride':
            logits = self.model(image, mode='tensor')
        else:
            size = image.shape[2:]
            meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
            logits = self.model.encode_decode(image, [meta] * len(image))
        if self.output == 'logits':
            return logits
        results = self.model.postprocess_result(logits)
        return torch.cat([result.pred_sem_seg.data for result in results])


class ExportModel(nn.Module):
    """What becomes the graph: the inference form, with normalisation in front if wanted.

    Args:
        form: Inference form of the segmentor, or its :class:`HostForm`.
        mean: Of the channels in the order of the training (RGB).
        std: As ``mean``.
        swap: Whether raw images (BGR) are to be brought to that order.
        normalize: Take raw images (N, H, W, 3) uint8, BGR, instead of normalised (N, 3, H, W).
    """

    def __init__(
        self, form: nn.Module, mean: List[float], std: List[float], swap: bool, normalize: bool
    ) -> None:
        super().__init__()
        self.form, self.swap, self.normalize = form, swap, normalize
        self.channels = len(mean)
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Logits, float32, or classes, int32."""
        if self.normalize:
            image = image.permute(0, 3, 1, 2).float()
            if self.swap:
                image = image.flip(1)
            image = (image - self.mean) / self.std
        out = self.form(image)
        return out.to(torch.int32) if self.form.output == 'argmax' else out

    def sample(self, batch: int, size: Tuple[int, int], seed: int = 0) -> Tensor:
        """A random input of the graph."""
        generator = torch.Generator().manual_seed(seed)
        if self.normalize:
            shape = (batch, *size, self.channels)
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return torch.randn(batch, self.channels, *size, generator=generator)


def export_onnx(
    model: BaseSegmentor,
    path: str,
    size: Tuple[int, int] = (1024, 2048),
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
    dynamic: bool = False,
    fp16: bool = False,
    runtime: str = 'onnxruntime',
) -> List[Parity]:
    """Export a segmentor, then compare the file in ONNX Runtime with torch.

    The file appears only if the comparison holds.

    Args:
        model: In evaluation mode, on any device; it stays there.
        path: Of the file to write, ending in ``.onnx``.
        size: (height, width) of the image; with ``dynamic`` only of the example.
        output: ``'argmax'`` (int32 classes (N, h, w), of a single logit by the head's
            threshold) or ``'logits'`` (float32 (N, K, h, w)).
        output_size: ``'full'`` or ``'stride'``, see :func:`sfnet_mm.deploy.optimize`.
        normalize: Put the normalisation of raw images into the graph, see :class:`ExportModel`.
        dynamic: Leave batch size, height and width open.
        fp16: Compute in float16, all but the positions of the warp and ``GridSample`` itself;
            inputs and outputs stay float32.
        runtime: ``'onnxruntime'`` or ``'openvino'``: in which one the file is to be fast. It
            computes the same in each. For the form of the other, OpenVINO takes an eighth longer
            and ONNX Runtime a fifth.

    Returns:
        list[Parity]: One comparison, or two of different sizes with ``dynamic``.

    Raises:
        ImportError: A package for the export is not installed; says how to install them.
        ValueError: A bad argument, or a size too small for the context pooling.
        RuntimeError: The file does not agree with torch; it is not written.
    """
    if not path.endswith('.onnx'):
        raise ValueError(f'{path} must end in .onnx')
    check_size(size)
    onnx = require('onnx', INSTALL)
    require('onnxscript', INSTALL)
    require('onnxruntime', INSTALL)
    if next(model.parameters()).is_cuda:
        # On CUDA the sampler is cuDNN's, which the exporter does not know.
        model = copy.deepcopy(model).cpu()
    _check_test(model, None if dynamic else size, output, normalize)
    wrapped = wrap(model, output, output_size, normalize)
    sample = wrapped.sample(2 if dynamic else 1, size)
    with exporting_for(runtime):
        proto = trace(wrapped, sample, dynamic)
    expected = reference(model, output, output_size, normalize)
    if fp16:
        proto = to_float16(proto)
    meta = metadata(model, wrapped.form, None if dynamic else size, normalize, fp16)
    meta['fastest_in'] = runtime
    onnx.helper.set_model_props(proto, {k: json.dumps(v) for k, v in meta.items()})
    with whole_file(path) as temporary:
        onnx.save(proto, temporary)
        sizes = [size, (size[0] + 37, max(64, size[1] - 45))] if dynamic else [size]
        precision = 'float16' if fp16 else 'float32'
        parities = [compare_with_torch(expected, temporary, s, precision) for s in sizes]
        judge(parities, precision)
    return parities


def wrap(
    model: BaseSegmentor,
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
) -> ExportModel:
    """The graph of :func:`export_onnx` as a module."""
    form = optimize(model, True, output, output_size, verbose=False)
    return _with_input(model, form, normalize)


def reference(
    model: BaseSegmentor,
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
) -> ExportModel:
    """What mmseg's ``model.predict`` gives, in the input and output of :func:`wrap`.

    The file is compared with it.
    """
    return _with_input(model, HostForm(model, output, output_size), normalize)


def _with_input(model: BaseSegmentor, form: nn.Module, normalize: bool) -> ExportModel:
    return ExportModel(form, *normalization(model), normalize).eval()


def metadata(
    model: BaseSegmentor,
    form: InferenceModel,
    size: Optional[Tuple[int, int]] = None,
    normalize: bool = False,
    fp16: bool = False,
) -> Dict[str, Any]:
    """What a user of a graph has to know to run it as mmseg tests the model.

    Args:
        model: With ``cfg`` and ``dataset_meta``, as ``load_model`` gives it.
        form: Its inference form.
        size: (height, width) of the input; None if it is open.
        normalize: See :class:`ExportModel`.
        fp16: Whether it computes in float16.

    Returns:
        dict: Each entry is stored as JSON in the file.
    """
    meta = getattr(model, 'dataset_meta', None) or {}
    mean, std, swap = normalization(model)
    loading, pipeline = pipeline_steps(getattr(model, 'cfg', None))
    return {
        'sfnet_mm': __version__,
        'input': 'raw' if normalize else 'normalized',
        'channels': len(mean),
        'size': size,
        'mean': mean,
        'std': std,
        'bgr_to_rgb': swap,
        'loading': loading,
        'pipeline': pipeline,
        'padding': _padding(model),
        'slide': sliding_windows(model),
        'output': form.output,
        'output_size': form.output_size,
        'align_corners': form.align_corners,
        'threshold': form.threshold,
        'precision': 'float16' if fp16 else 'float32',
        'num_classes': model.decode_head.num_classes,
        'classes': list(meta.get('classes') or ()),
        'palette': [list(c) for c in meta.get('palette') or ()],
    }


def _padding(model: BaseSegmentor) -> Optional[Dict[str, Any]]:
    """How the data preprocessor pads test images at the bottom and on the right, if it does."""
    pre = model.data_preprocessor
    padding = getattr(pre, 'test_cfg', None)
    if not padding:
        return None
    return {
        'size': padding.get('size'),
        'size_divisor': padding.get('size_divisor'),
        'value': pre.pad_val,
    }


def _check_test(
    model: BaseSegmentor, size: Optional[Tuple[int, int]], output: str, normalize: bool
) -> None:
    """Refuse a graph that no runtime could run as mmseg tests the model.

    Raises:
        ValueError: Saying what to do.
    """
    check_portable(pipeline_steps(getattr(model, 'cfg', None))[1], 'the config')
    if normalize and _padding(model):
        raise ValueError(
            'the data_preprocessor pads test images after their normalization: '
            'export without normalize'
        )
    slide = sliding_windows(model)
    if slide is None:
        return
    crop = slide['crop_size']
    if output != 'logits':
        raise ValueError(
            "the model is tested in sliding windows (test_cfg.mode='slide'), whose logits are "
            f'averaged: export with --output logits --size {crop[0]}x{crop[1]}, and the runtime '
            "slides, or set test_cfg.mode='whole'"
        )
    if size is not None and list(size) != crop:
        raise ValueError(
            f'size {size[0]}x{size[1]} is not that of the sliding windows of test_cfg: export with '
            f'--size {crop[0]}x{crop[1]} or --dynamic'
        )


def check_size(size: Tuple[int, int]) -> None:
    """Refuse a size whose last map is too small for the context pooling; warn where cells repeat.

    Raises:
        ValueError: A side below 64 pixels, which is two pixels at stride 32.
    """
    if min(size) < 64:
        raise ValueError(
            f'size {size[0]}x{size[1]} is too small for the context pooling: '
            'each side needs 64 pixels or more'
        )
    if min(size) < 192:
        warnings.warn(
            f'size {size[0]}x{size[1]} leaves the context pooling fewer pixels than its 6x6 cells',
            stacklevel=2,
        )
