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

from .onnx_graph import INSTALL, to_float16, trace
from .optimize import InferenceModel, optimize
from .parity import Parity, compare_with_torch, judge


class ExportModel(nn.Module):
    """What becomes the graph: the inference form, with normalisation in front if wanted.

    Args:
        form: Inference form of the segmentor.
        mean: Of the channels in the order of the training (RGB).
        std: As ``mean``.
        swap: Whether raw images (BGR) are to be brought to that order.
        normalize: Take raw images (N, H, W, 3) uint8, BGR, instead of normalised (N, 3, H, W).
    """

    def __init__(
        self, form: InferenceModel, mean: List[float], std: List[float], swap: bool, normalize: bool
    ) -> None:
        super().__init__()
        self.form, self.swap, self.normalize = form, swap, normalize
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
            return torch.randint(0, 256, (batch, *size, 3), generator=generator, dtype=torch.uint8)
        return torch.randn(batch, 3, *size, generator=generator)


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
        output: ``'argmax'`` (int32 classes (N, h, w)) or ``'logits'`` (float32 (N, K, h, w)).
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
    wrapped = wrap(model, output, output_size, normalize)
    sample = wrapped.sample(2 if dynamic else 1, size)
    with exporting_for(runtime):
        proto = trace(wrapped, sample, dynamic)
    reference = wrap(model, output, output_size, normalize, rearrange=False)
    if fp16:
        proto = to_float16(proto)
    meta = metadata(model, wrapped, None if dynamic else size, fp16)
    meta['fastest_in'] = runtime
    onnx.helper.set_model_props(proto, {k: json.dumps(v) for k, v in meta.items()})
    with whole_file(path) as temporary:
        onnx.save(proto, temporary)
        sizes = [size, (size[0] + 37, max(64, size[1] - 45))] if dynamic else [size]
        precision = 'float16' if fp16 else 'float32'
        parities = [compare_with_torch(reference, temporary, s, precision) for s in sizes]
        judge(parities, precision)
    return parities


def wrap(
    model: BaseSegmentor,
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
    rearrange: bool = True,
) -> ExportModel:
    """The graph of :func:`export_onnx` as a module.

    Not rearranged, it is the model's own composition, with which the file is compared.
    """
    pre = model.data_preprocessor
    form = optimize(model, rearrange, output, output_size, verbose=False)
    mean, std = (getattr(pre, name).flatten().tolist() for name in ('mean', 'std'))
    return ExportModel(form, mean, std, bool(pre.channel_conversion), normalize).eval()


def metadata(
    model: BaseSegmentor, wrapped: ExportModel, size: Optional[Tuple[int, int]], fp16: bool = False
) -> Dict[str, Any]:
    """What a user of the graph has to know; each entry is stored as JSON in the file."""
    meta = getattr(model, 'dataset_meta', None) or {}
    return {
        'sfnet_mm': __version__,
        'input': 'raw' if wrapped.normalize else 'normalized',
        'size': size,
        'mean': wrapped.mean.flatten().tolist(),
        'std': wrapped.std.flatten().tolist(),
        'bgr_to_rgb': wrapped.swap,
        'output': wrapped.form.output,
        'output_size': wrapped.form.output_size,
        'align_corners': wrapped.form.align_corners,
        'precision': 'float16' if fp16 else 'float32',
        'classes': list(meta.get('classes') or ()),
        'palette': [list(c) for c in meta.get('palette') or ()],
    }


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
