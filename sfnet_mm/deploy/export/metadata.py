"""Makes the metadata that an exported file holds about its model."""

from typing import Any

from mmseg.models import BaseSegmentor

from sfnet_mm.version import __version__

from ..image_pipeline import pipeline_steps
from ..inference.optimize import InferenceModel
from ..model import normalization, pools_context, sliding_windows


def metadata(
    model: BaseSegmentor,
    form: InferenceModel,
    size: tuple[int, int] | None = None,
    normalize: bool = False,
    fp16: bool = False,
) -> dict[str, Any]:
    """Collect what a runtime must know to run a graph as mmseg tests the model.

    Args:
        model: Segmentor of ``load_model``, with ``cfg`` and ``dataset_meta``.
        form: Inference form of the model.
        size: (height, width) of the input; None if it is open.
        normalize: The argument of :class:`ExportModel`.
        fp16: Whether the graph computes in float16.

    Returns:
        dict: The entries, each of which is stored as JSON in the file.
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
        'padding': padding(model),
        'slide': sliding_windows(model),
        'output': form.output,
        'output_size': form.output_size,
        'align_corners': form.align_corners,
        'pools_context': pools_context(model),
        'threshold': form.threshold,
        'precision': 'float16' if fp16 else 'float32',
        'num_classes': model.decode_head.num_classes,
        'classes': list(meta.get('classes') or ()),
        'palette': [list(c) for c in meta.get('palette') or ()],
    }


def padding(model: BaseSegmentor) -> dict[str, Any] | None:
    """Return how the data preprocessor pads test images at the bottom and right, or None."""
    pre = model.data_preprocessor
    test = getattr(pre, 'test_cfg', None)
    if not test:
        return None
    return {
        'size': test.get('size'),
        'size_divisor': test.get('size_divisor'),
        'value': pre.pad_val,
    }
