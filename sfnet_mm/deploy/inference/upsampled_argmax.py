"""Chooses the class of each pixel of an image from logits at the size of a feature map."""

import numpy as np
import torch
from torch import Tensor

from sfnet_mm.models.layers.upsampling import resize
from sfnet_mm.ops.exporting import is_exporting

# The fused upsampling and argmax takes this many rows at once, for which 19 float32 maps of 2048
# columns fit in a cache.
_STRIP = 32


def classes_of(logits: Tensor, threshold: float | None = None) -> Tensor:
    """Choose the class of every pixel as mmseg's ``BaseSegmentor.postprocess_result`` does.

    Args:
        logits: (N, K, h, w).
        threshold: Threshold of the probability of class 1 (``decode_head.threshold``) if K is 1.

    Returns:
        (N, h, w) int64; the first class where logits are equal.
    """
    if logits.shape[1] == 1:
        return (logits[:, 0].sigmoid() > threshold).long()
    return logits.argmax(dim=1)


def upsampled_argmax(
    logits: Tensor,
    size: tuple | None,
    align_corners: bool = True,
    threshold: float | None = None,
) -> Tensor:
    """Upsample logits bilinearly and choose the classes without storing the upsampled logits.

    Args:
        logits: (N, K, h, w).
        size: (H, W), or None for (h, w).
        align_corners: ``align_corners`` of the upsampling. True upsamples strip by strip, and False
            all at once.
        threshold: See :func:`classes_of`.

    Returns:
        (N, H, W) int64; the first class where logits are equal.
    """
    single = logits.shape[1] == 1
    if size is not None and not single and is_exporting('openvino'):
        return _argmax_by_reductions(resize(logits, size, align_corners))
    if logits.is_cuda:
        # On this device, planes are upsampled and searched faster than channels-last maps.
        logits = logits.contiguous()
    at_once = single or size is None or not align_corners
    if at_once or torch.compiler.is_compiling() or logits.is_cuda:
        full = logits if size is None else resize(logits, size, align_corners)
        return classes_of(full, threshold)
    logits = logits.detach().contiguous()  # classes have no gradient
    batch, classes, height, _ = logits.shape
    device = logits.device
    out = torch.empty(batch, *size, dtype=torch.long, device=device)
    # With align_corners, the output row y reads the input at y * (h - 1) / (H - 1).
    dtype = torch.promote_types(logits.dtype, torch.float32)
    scale = (height - 1) / max(size[0] - 1, 1)
    position = torch.arange(size[0], dtype=dtype, device=device) * scale
    above = position.floor().long().clamp(max=max(height - 2, 0))
    below = (above + 1).clamp(max=height - 1)
    share = (position - above)[:, None]
    for start in range(0, size[0], _STRIP):
        rows = slice(start, start + _STRIP)
        first, second = (logits[:, :, row[rows]].to(dtype) for row in (above, below))
        strip = torch.lerp(first, second, share[rows])
        strip = resize(strip, (strip.shape[2], size[1]))
        best, index = strip[:, 0].clone(), out[:, rows].zero_()
        for c in range(1, classes):
            larger = strip[:, c] > best
            index.masked_fill_(larger, c)
            torch.maximum(best, strip[:, c], out=best)
    return out


def resize_classes(
    mask: np.ndarray,
    run: tuple[int, int],
    inner: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
) -> np.ndarray:
    """Resize classes by nearest neighbors, at the positions that bilinear resizing would sample.

    Args:
        mask: (h, w), classes of an input of the size ``run``.
        run: (height, width) of the input.
        inner: (height, width) of its upper left part without padding.
        size: (H, W) of the result, which covers ``inner``.
        align_corners: ``align_corners`` of the resizing of logits.

    Returns:
        (H, W).
    """
    axes = []
    for length, whole, part, wanted in zip(mask.shape, run, inner, size):
        at = _positions(np.arange(wanted), part, wanted, align_corners)
        at = _positions(at, length, whole, align_corners)
        axes.append(np.rint(at).astype(np.int64).clip(0, length - 1))
    return mask[np.ix_(*axes)]


def _positions(at: np.ndarray, source: int, target: int, align_corners: bool) -> np.ndarray:
    """Map pixel positions on a side of ``target`` pixels to a side of ``source`` pixels."""
    if align_corners:
        return at * ((source - 1) / max(target - 1, 1))
    return (at + 0.5) * (source / target) - 0.5


def _argmax_by_reductions(logits: Tensor) -> Tensor:
    """Compute ``argmax`` over classes by a maximum and a minimum.

    OpenVINO stores the classes of a pixel side by side. In this layout its own ``argmax`` takes
    twice as long as two reductions.
    """
    last = logits.shape[1] - 1
    classes = torch.arange(last + 1, dtype=logits.dtype, device=logits.device).view(1, -1, 1, 1)
    largest = logits.amax(dim=1, keepdim=True)
    return torch.where(logits == largest, classes, float(last)).amin(dim=1).long()
