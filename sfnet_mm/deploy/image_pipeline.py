"""Runs the transforms of a test pipeline that lie between loading and packing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import TRANSFORMS

from sfnet_mm.utils.config_parts import data_sets

# An exported file may name these transforms of the hosts and of this package. None of them is
# random.
PORTABLE = (
    'AdjustGamma',
    'CenterCrop',
    'CLAHE',
    'Pad',
    'Rerange',
    'ResetOriginalShape',
    'Resize',
    'ResizeShortestEdge',
    'ResizeToMultiple',
    'RGB2Gray',
    'ShrinkToFit',
)


class Frame(NamedTuple):
    """An image as the test pipeline leaves it, before normalization.

    Attributes:
        image: (h, w, C).
        size: (height, width) of the mask of the image, which is mmseg's ``ori_shape``.
        label: (h', w') class indices; None without a label.
    """

    image: np.ndarray
    size: tuple[int, int]
    label: np.ndarray | None = None


class ImagePipeline:
    """The transforms of a test pipeline without those that load and pack.

    Args:
        steps: Configs of the transforms, in order.
        to_float32: Whether images are converted to float32 first (an option of mmcv's loading).
    """

    def __init__(self, steps: Sequence[dict[str, Any]] = (), to_float32: bool = False) -> None:
        self.to_float32 = to_float32
        with DefaultScope.overwrite_default_scope('mmseg'):
            self.transforms = [
                TRANSFORMS.build(
                    _with_tuples(step) if _transform_name(step) in PORTABLE else dict(step)
                )
                for step in steps
            ]

    def __call__(self, image: np.ndarray, label: np.ndarray | None = None) -> Frame:
        """Transform an image (H, W, C) and its label (H, W), as if the label was loaded first.

        Raises:
            ValueError: The result of a transform is not one upright image.
        """
        if self.to_float32:
            image = image.astype(np.float32)
        size = image.shape[:2]
        results: Any = dict(img=image, img_path=None, img_shape=size, ori_shape=size, seg_fields=[])
        if label is not None:
            results.update(gt_seg_map=label, seg_fields=['gt_seg_map'])
        for transform in self.transforms:
            results = transform(results)
            if not isinstance(results, dict) or results.get('flip'):
                raise ValueError(
                    f'{type(transform).__name__} of the test pipeline does not make one upright '
                    'image: take it out of test_pipeline'
                )
        image = results['img']
        # OpenCV drops the axis of a single channel.
        image = image[..., None] if image.ndim == 2 else image
        return Frame(image, tuple(results['ori_shape'][:2]), results.get('gt_seg_map'))

    def shown(
        self, image: np.ndarray, label: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the part of an image (H, W, C) and of its label that the mask covers.

        It has the size of the mask. It is the whole image, unless the pipeline crops it and resets
        the original shape.
        """
        frame = self(image, label)
        if frame.size == image.shape[:2]:
            return image, label
        image, label = frame.image, frame.label
        if image.shape[:2] != frame.size:
            image = cv2.resize(image, frame.size[::-1], interpolation=cv2.INTER_LINEAR)
        if label is not None and label.shape != frame.size:
            label = cv2.resize(label, frame.size[::-1], interpolation=cv2.INTER_NEAREST)
        return image, label


def inference_pipeline(cfg: Config | None) -> list[dict[str, Any]]:
    """Return the test pipeline of a config without labels, as ``inference_model`` can run it.

    mmseg's ``inference_model`` reads the variable ``test_pipeline``, which not every config has,
    and takes out only a ``LoadAnnotations`` of exactly this name.

    Args:
        cfg: Config. Without ``test_pipeline``, the pipeline is that of the test data; without test
            data, or if the config is None, it only loads and packs.
    """
    cfg = cfg or {}
    steps = cfg.get('test_pipeline')
    if not steps:
        data = data_sets(cfg.get('test_dataloader'))
        steps = data[0].get('pipeline') if data else None
    steps = steps or [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    return [step for step in steps if not _transform_name(step).endswith('Annotations')]


def pipeline_steps(cfg: Config | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split the result of :func:`inference_pipeline`.

    Args:
        cfg: See :func:`inference_pipeline`.

    Returns:
        tuple: Options of the loading (``color_type``, ``imdecode_backend``, ``to_float32``), and
        the configs of the transforms between loading and packing.
    """
    loading: dict[str, Any] = {}
    steps = []
    for step in inference_pipeline(cfg):
        name = _transform_name(step)
        if name.startswith('LoadImage'):
            options = ('color_type', 'imdecode_backend', 'to_float32')
            loading = {key: step[key] for key in options if key in step}
        elif not name.startswith(('Load', 'Pack')):
            steps.append(step.to_dict() if hasattr(step, 'to_dict') else dict(step))
    return loading, steps


def check_portable(steps: Sequence[dict[str, Any]], where: str) -> None:
    """Refuse transforms that a file cannot carry, or may not name.

    Args:
        steps: See :class:`ImagePipeline`.
        where: Name of the config or file that holds the steps, for the message.

    Raises:
        ValueError: A transform is not portable. The message names it.
    """
    for step in steps:
        arguments = [value for key, value in step.items() if key != 'type']
        if _transform_name(step) not in PORTABLE or _contains_type(arguments):
            raise ValueError(
                f'{where} has {_transform_name(step)} in its test pipeline, which a file cannot '
                f'carry out (it can {", ".join(PORTABLE)}): take it out of test_pipeline, or use '
                "the runtime 'torch'"
            )


def _transform_name(step: dict[str, Any]) -> str:
    """Return the name of a transform without its scope; its type may be a class or a string."""
    kind = step['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


def _with_tuples(step: dict[str, Any]) -> dict[str, Any]:
    """Convert lists to tuples, because JSON stores sizes as lists, which mmcv refuses."""
    return {key: tuple(x) if isinstance(x, list) else x for key, x in step.items()}


def _contains_type(values: Any) -> bool:
    """Return whether nested arguments contain a dict that would be built from its ``type``."""
    if isinstance(values, dict):
        return 'type' in values or _contains_type(list(values.values()))
    return isinstance(values, (list, tuple)) and any(map(_contains_type, values))
