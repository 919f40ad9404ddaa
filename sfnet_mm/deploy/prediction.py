"""Predicts the mask of an image and the confidence of each pixel."""

import os.path as osp
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfnet_mm.utils.tooling import atomic_file
from sfnet_mm.visualization import save_png

from .inference.upsampled_argmax import classes_of
from .runtimes import Runtime

CONFIDENCE_FORMATS = ('png', 'npy')


class Prediction(NamedTuple):
    """The prediction of a model for an image.

    Attributes:
        mask: (H, W), the class of each pixel.
        probability: (H, W) float32, the probability of this class; None without confidence.
        margin: (H, W) float32, its difference from the probability of the second class; None
            without confidence.
    """

    mask: np.ndarray
    probability: np.ndarray | None = None
    margin: np.ndarray | None = None


def predict(runtime: Runtime, image: np.ndarray, confidence: bool = False) -> Prediction:
    """Predict an image.

    Args:
        runtime: The model.
        image: See :meth:`Runtime.predict`.
        confidence: Whether to also give probability and margin, which need logits.

    Raises:
        ValueError: See :meth:`Runtime.predict_logits`.
    """
    if not confidence:
        return Prediction(runtime.predict(image))
    with torch.inference_mode():
        logits = runtime.predict_logits(image)
        threshold = runtime.meta.get('threshold')
        mask = classes_of(logits[None], threshold)[0].numpy().astype(runtime.mask_dtype)
        probability, margin = probability_and_margin(logits, torch.from_numpy(mask.astype(int)))
    return Prediction(mask, probability.numpy(), margin.numpy())


def probability_and_margin(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the probability of the chosen class and its difference from the second one.

    The margin can be negative if a single logit has a threshold other than one half.

    Args:
        logits: (K, H, W). A single logit is that of class 1 against class 0.
        mask: (H, W) int64, the chosen classes.
    """
    if len(logits) == 1:
        probabilities = torch.cat((-logits, logits)).sigmoid()
    else:
        probabilities = logits.softmax(0)
    chosen = probabilities.gather(0, mask[None])
    others = probabilities.scatter(0, mask[None], -1.0).amax(0)
    return chosen[0], chosen[0] - others


def save_confidence(path: str, values: np.ndarray) -> None:
    """Write a map of confidence.

    Args:
        path: Path that ends in ``.png`` for 8 bits (255 stands for 1) or in ``.npy`` for float32.
        values: (H, W), from 0 to 1.
    """
    if osp.splitext(path)[1] == '.png':
        save_png(path, np.rint(255 * values.clip(0, 1)).astype(np.uint8))
        return
    with atomic_file(path) as temporary, open(temporary, 'wb') as file:
        np.save(file, values)


def check_confidence(runtime: Any) -> None:
    """Raise a ``ValueError`` for a graph that ends in classes, which has no probabilities."""
    gives_logits = runtime.meta['output'] == 'logits'
    if not gives_logits and type(runtime).infer_logits is Runtime.infer_logits:
        raise ValueError(
            'confidence needs logits, and the graph ends in classes: export it with --output logits'
        )
