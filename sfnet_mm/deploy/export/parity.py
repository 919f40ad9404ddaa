"""Compares the output of a file in a runtime with the output of its model in torch."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfnet_mm.deploy.inference.upsampled_argmax import classes_of
from sfnet_mm.utils.tooling import require

from .export_model import ExportModel

INSTALL = 'pip install -r requirements/deploy.txt'

# The required agreement with torch: the largest difference of logits, relative to their size if
# that is above one, and the smallest share of pixels with the same class.
TOLERANCE = {'float32': 1e-4, 'float16': 5e-2}
AGREEMENT = {'float32': 0.999, 'float16': 0.99}


@dataclass
class Parity:
    """The comparison of a runtime with torch on one image.

    Attributes:
        difference: Largest absolute difference of logits; None if the graph ends in classes.
        agreement: Share of pixels with the same class.
        size: (height, width) of the image.
        largest: Largest absolute logit of torch.
    """

    difference: float | None
    agreement: float
    size: tuple[int, int]
    largest: float = 0.0

    def within(self, precision: str) -> bool:
        """Return whether the runtime agrees with torch within the rounding of a precision."""
        # Rounding grows with the numbers that are rounded, in torch as well.
        limit = TOLERANCE[precision] * max(1.0, self.largest)
        close = self.difference is None or self.difference <= limit
        return close and self.agreement >= AGREEMENT[precision]

    def __str__(self) -> str:
        logits = '' if self.difference is None else f'logits differ by {self.difference:.1e}, '
        return f'{self.size[0]}x{self.size[1]}: {logits}classes agree on {self.agreement:.4%}'


def open_onnx(path: str) -> Callable[[Tensor], list[np.ndarray]]:
    """Return a function that runs an ONNX file in ONNX Runtime on the CPU."""
    ort = require('onnxruntime', INSTALL)
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    return lambda image: session.run(None, {session.get_inputs()[0].name: image.numpy()})


def compare_with_torch(
    wrapped: ExportModel,
    run: Callable[[Tensor], Any],
    size: tuple[int, int],
    precision: str = 'float32',
) -> Parity:
    """Run a file and its reference in torch on one random image.

    Args:
        wrapped: Module of :func:`sfnet_mm.deploy.export.make_reference`.
        run: Function from an input of the graph to the output of the file.
        size: (height, width) of the image.
        precision: ``'float32'`` or ``'float16'``.
    """
    sample = wrapped.sample(1, size, seed=1)
    with torch.no_grad():
        expected, got = wrapped(sample).numpy(), np.asarray(run(sample))
    threshold = wrapped.form.threshold
    found = parity(expected, got, size, threshold)
    if found.within(precision) or precision != 'float32' or not sample.is_floating_point():
        return found
    # In deep networks, the rounding of torch can be the larger part of the difference.
    return parity(float64_output(wrapped, sample), got, size, threshold)


@torch.no_grad()
def float64_output(wrapped: ExportModel, sample: Tensor) -> np.ndarray:
    """Compute the output in float64 with the same weights, and return it as float32."""
    return copy.deepcopy(wrapped).double()(sample.double()).float().numpy()


def parity(
    expected: np.ndarray,
    got: np.ndarray,
    size: tuple[int, int],
    threshold: float | None = None,
) -> Parity:
    """Compare two outputs: logits (N, K, H, W) or classes (N, H, W).

    Args:
        expected: Output of torch.
        got: Output of the runtime.
        size: (height, width) of the image.
        threshold: See :func:`sfnet_mm.deploy.inference.upsampled_argmax.classes_of`.

    Raises:
        RuntimeError: The outputs differ in shape.
    """
    if expected.shape != got.shape:
        raise RuntimeError(f'the output is {got.shape}, torch gives {expected.shape}')
    if expected.ndim == 3:
        return Parity(None, float((expected == got).mean()), size)
    classes = [classes_of(torch.from_numpy(x), threshold) for x in (expected, got)]
    same = float((classes[0] == classes[1]).float().mean())
    return Parity(float(np.abs(expected - got).max()), same, size, float(np.abs(expected).max()))


def check_parity(parities: list[Parity], precision: str, who: str = 'ONNX Runtime') -> None:
    """Raise a RuntimeError that names the first comparison with too large a difference."""
    for p in parities:
        if not p.within(precision):
            raise RuntimeError(f'{who} does not agree with torch, nothing was written: {p}')
