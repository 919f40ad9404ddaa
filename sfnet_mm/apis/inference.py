"""Predicts the mask of an image with a model of any kind that this package knows."""

import copy
import functools
import os
from typing import TYPE_CHECKING, Any

from sfnet_mm.config_files import weights_path

from .models import config_file

if TYPE_CHECKING:
    import numpy as np
    from mmseg.models import BaseSegmentor

    from sfnet_mm.deploy import Runtime


def predict(
    image: 'str | os.PathLike | np.ndarray',
    model: 'str | BaseSegmentor | Runtime' = 'sfnet_efflite0_camvid360',
    weights: str | os.PathLike | None = 'camvid',
    device: str = 'cpu',
) -> 'np.ndarray':
    """Predict the class of every pixel of an image, as mmseg's ``inference_model`` does.

    Example::

        mask = sfnet_mm.predict('street.jpg')
        mask = sfnet_mm.predict(cv2.imread('street.jpg'), 'sfnet_lite_stdc1_uds', 'iter_50000.pth')

    Args:
        image: Path, or array (H, W, 3) uint8 in the order BGR, as from ``cv2.imread``.
        model: Name of a config of this package or path of your own. Its model runs in its inference
            form (:class:`sfnet_mm.deploy.TorchRuntime`) and is kept for the next call with the same
            arguments. A segmentor in evaluation mode (:func:`sfnet_mm.create_model`) and a runtime
            (:func:`sfnet_mm.deploy.load_runtime`) are accepted too.
        weights: For a config: path or address of its checkpoint, or ``'camvid'``; see
            :func:`sfnet_mm.create_model`. Not used with a segmentor or a runtime.
        device: For a config: its device, such as ``'cpu'`` or ``'cuda:0'``. Not used otherwise.

    Returns:
        np.ndarray: (H, W) uint8, or uint16 for more than 255 classes.

    Raises:
        FileNotFoundError: There is no such image, config or checkpoint.
        ValueError: The image cannot be used, the checkpoint does not belong to the config, the
            segmentor is in training mode, or a config is given without weights.
    """
    from sfnet_mm.deploy import Runtime

    if isinstance(model, (str, os.PathLike)):
        model = _runtime_of_config(os.fspath(model), weights, device)
    if isinstance(model, Runtime):
        return model.predict(_load_image(image, model.loading))
    return _predict_by_mmseg(model, image)


def _runtime_of_config(name: str, weights: str | os.PathLike | None, device: str) -> 'Runtime':
    if weights is None:
        raise ValueError(f'{name} has random weights without a checkpoint: name one by weights=')
    config, path = config_file(name), weights_path(os.fspath(weights))
    return _cached_runtime(
        config, path, device, _modification_time(config), _modification_time(path)
    )


def _modification_time(path: str) -> int | None:
    """Return when a file was last changed, in nanoseconds, or None for an address."""
    return os.stat(path).st_mtime_ns if os.path.isfile(path) else None


@functools.lru_cache(maxsize=1)
def _cached_runtime(config: str, weights: str, device: str, *_: int | None) -> 'Runtime':
    from sfnet_mm.deploy import load_runtime

    return load_runtime('torch', config, weights, device)


def _load_image(image: Any, loading: dict) -> 'np.ndarray':
    import numpy as np

    from sfnet_mm.utils.media import read_image

    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image), **loading)
    if not isinstance(image, np.ndarray):
        raise ValueError(f'image is a {type(image).__name__}: give a path or an array (H, W, 3)')
    return image


def _predict_by_mmseg(model: 'BaseSegmentor', image: Any) -> 'np.ndarray':
    import numpy as np
    from mmseg.apis import inference_model

    from sfnet_mm.deploy.image_pipeline import pipeline_steps
    from sfnet_mm.deploy.model import input_channels
    from sfnet_mm.utils.media import mask_dtype

    if not hasattr(model, 'cfg') or not hasattr(model, 'test_step'):
        raise ValueError(
            f'model is a {type(model).__name__}: give the name of a config, a segmentor of '
            'create_model or a runtime'
        )
    if model.training:
        raise ValueError('predict() was given a model in training mode: call model.eval() first')
    loading, _ = pipeline_steps(model.cfg)
    loading.pop('to_float32', None)
    image = _load_image(image, loading)
    channels = input_channels(model)
    if (image.shape[2] if image.ndim == 3 else 1) != channels:
        raise ValueError(f'image has the shape {image.shape}: expected (H, W, {channels})')
    if channels == 3 and image.dtype != np.uint8:
        raise ValueError(f'image is {image.dtype}: expected uint8, 0 to 255, in the order BGR')
    cfg = model.cfg
    # inference_model changes the pipeline in the config, which can then no longer read a path.
    model.cfg = copy.deepcopy(cfg)
    try:
        mask = inference_model(model, image).pred_sem_seg.data[0]
    finally:
        model.cfg = cfg
    return mask.cpu().numpy().astype(mask_dtype(model.num_classes))
