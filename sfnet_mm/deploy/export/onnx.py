"""Writes a segmentor as an ONNX file and checks the file against torch.

The graph holds only standard operators. A FAM is one ``GridSample``, GD-FAM is two. With
``warp='gather'`` the graph has none.
"""

import copy

from mmseg.models import BaseSegmentor

from sfnet_mm.ops.exporting import exporting_for

from ..model import pools_context
from .checks import check_size, check_test
from .export_model import make_export_model, make_reference
from .metadata import metadata
from .onnx_graph import OPSET, check_path, to_float16, trace, write_checked
from .parity import Parity, check_parity, compare_with_torch, open_onnx
from .portable_warp import convert_warps, runtime_of_trace


def export_onnx(
    model: BaseSegmentor,
    path: str,
    size: tuple[int, int] = (1024, 2048),
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
    dynamic: bool = False,
    fp16: bool = False,
    runtime: str = 'onnxruntime',
    warp: str = 'gridsample',
    opset: int = OPSET,
) -> list[Parity]:
    """Export a segmentor, then compare the file in ONNX Runtime with torch.

    The file appears only if the comparison holds.

    Args:
        model: Segmentor in evaluation mode, on any device. It is not changed.
        path: Path of the file to write, ending in ``.onnx``.
        size: (height, width) of the image, or only of the example with ``dynamic``.
        output: ``'argmax'`` (int32 classes (N, h, w), of a single logit by the head's
            threshold) or ``'logits'`` (float32 (N, K, h, w)).
        output_size: ``'full'`` or ``'stride'``, see :func:`sfnet_mm.deploy.inference.optimize`.
        normalize: Put the normalization of raw images into the graph, see :class:`ExportModel`.
        dynamic: Leave batch size, height and width open.
        fp16: Compute in float16, except for ``GridSample`` and its positions. Inputs and outputs
            stay float32.
        runtime: Runtime in which the file is to be fast, ``'onnxruntime'`` or ``'openvino'``. It
            computes the same in each. With the form for the other one, OpenVINO takes an eighth
            longer and ONNX Runtime a fifth.
        warp: ``'gridsample'``, or ``'gather'`` for operators that every compiler has, the same for
            all runtimes; see :func:`sfnet_mm.deploy.export.portable_warp.gather_warps`.
        opset: Opset of the operators, from 16 to 18, or from 13 to 18 with ``'gather'``.

    Returns:
        list[Parity]: One comparison, or with ``dynamic`` two of different sizes.

    Raises:
        ImportError: A package for the export is not installed. The message says the remedy.
        ValueError: An argument is invalid, or the size is too small for the context pooling.
        RuntimeError: The file does not agree with torch; it is not written.
    """
    check_path(path)
    check_size(size, pools_context(model))
    if next(model.parameters()).is_cuda:
        # On CUDA the model samples by cuDNN, which the exporter does not know.
        model = copy.deepcopy(model).cpu()
    check_test(model, None if dynamic else size, output, normalize)
    wrapped = make_export_model(model, output, output_size, normalize)
    sample = wrapped.sample(2 if dynamic else 1, size)
    runtime = runtime_of_trace(runtime, warp)
    with exporting_for(runtime):
        shapes = wrapped.open_shapes() if dynamic else None
        proto = trace(wrapped, sample, [wrapped.output_name], shapes)
    expected = make_reference(model, output, output_size, normalize)
    if fp16:
        proto = to_float16(proto)
    proto = convert_warps(proto, warp, opset)
    meta = metadata(model, wrapped.form, None if dynamic else size, normalize, fp16)
    meta.update(fastest_in=runtime, warp=warp)
    sizes = [size, (size[0] + 37, max(64, size[1] - 45))] if dynamic else [size]
    precision = 'float16' if fp16 else 'float32'

    def compare(file: str) -> list[Parity]:
        run = open_onnx(file)
        parities = [compare_with_torch(expected, lambda x: run(x)[0], s, precision) for s in sizes]
        check_parity(parities, precision)
        return parities

    return write_checked(proto, meta, path, compare)
