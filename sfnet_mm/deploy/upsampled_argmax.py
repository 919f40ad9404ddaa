"""The class of each pixel of an image, from logits at the size of a feature map."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.ops.exporting import is_exporting

from .rearranged_convs import upsample

# Rows per strip of the fused upsampling and argmax: 19 float32 maps of 2048 columns fit a cache.
_STRIP = 32


def resize(logits: Tensor, size: tuple, align_corners: bool) -> Tensor:
    """Logits (N, K, h, w) upsampled bilinearly to a size (H, W)."""
    return F.interpolate(logits, size=size, mode='bilinear', align_corners=align_corners)


def upsampled_argmax(logits: Tensor, size: Optional[tuple], align_corners: bool = True) -> Tensor:
    """Class of the largest logit after bilinear upsampling, without holding the upsampled logits.

    Args:
        logits: (N, K, h, w).
        size: (H, W), or None for (h, w).
        align_corners: Of the upsampling. The strip-wise form needs True; False upsamples at once.

    Returns:
        (N, H, W) int64; of equal logits, the first class.
    """
    if size is not None and is_exporting('openvino'):
        return _argmax_by_reductions(resize(logits, size, align_corners))
    if logits.is_cuda:
        # Planes are upsampled and searched faster there than channels-last maps.
        logits = logits.contiguous()
    if size is None or not align_corners or torch.compiler.is_compiling() or logits.is_cuda:
        full = logits if size is None else resize(logits, size, align_corners)
        return full.argmax(dim=1)
    logits = logits.contiguous()
    batch, classes, height, _ = logits.shape
    out = torch.empty(batch, *size, dtype=torch.long)
    # align_corners: output row y reads the input at y * (h - 1) / (H - 1).
    position = torch.arange(size[0], dtype=torch.float32) * ((height - 1) / max(size[0] - 1, 1))
    above = position.floor().long().clamp(max=max(height - 2, 0))
    below = (above + 1).clamp(max=height - 1)
    share = (position - above)[:, None]
    for start in range(0, size[0], _STRIP):
        rows = slice(start, start + _STRIP)
        strip = torch.lerp(logits[:, :, above[rows]], logits[:, :, below[rows]], share[rows])
        strip = upsample(strip, (strip.shape[2], size[1]))
        best, index = strip[:, 0].clone(), out[:, rows].zero_()
        for c in range(1, classes):
            larger = strip[:, c] > best
            index.masked_fill_(larger, c)
            torch.maximum(best, strip[:, c], out=best)
    return out


def _argmax_by_reductions(logits: Tensor) -> Tensor:
    """``argmax`` over classes: of the classes that have the largest logit, the first.

    OpenVINO keeps the classes of a pixel side by side, where its own search takes twice as long as
    two reductions do.
    """
    last = logits.shape[1] - 1
    classes = torch.arange(last + 1, dtype=logits.dtype, device=logits.device).view(1, -1, 1, 1)
    largest = logits.amax(dim=1, keepdim=True)
    return torch.where(logits == largest, classes, float(last)).amin(dim=1).long()
