"""The inference form of a segmentor: the same logits in less time."""

import copy
from typing import List, Optional

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.logging import print_log
from mmseg.models import BaseSegmentor, EncoderDecoder
from torch import Tensor

from sfnet_mm.deploy.model import input_channels
from sfnet_mm.models.layers import PyramidContext

from .folding import fold_batchnorm
from .inference_heads import rearranged
from .inference_layers import InferenceContext, is_plain
from .upsampled_argmax import resize, upsampled_argmax

OUTPUTS = ('logits', 'argmax')
OUTPUT_SIZES = ('full', 'stride')


def optimize(
    model: BaseSegmentor,
    rearrange: Optional[bool] = None,
    output: str = 'logits',
    output_size: str = 'full',
    verbose: bool = True,
) -> 'InferenceModel':
    """Make the inference form of a segmentor; the model itself stays as it is.

    Auxiliary heads go, batch normalization is folded into the convolutions, weights are laid out
    channels-last, and the decoders of SFNet and SFNet-Lite are rearranged. Logits differ from those
    of ``model`` by rounding only. What cannot be folded or rearranged is left as it is and named.

    Args:
        model: Any ``EncoderDecoder`` in evaluation mode.
        rearrange: Whether decoders are rearranged; None does it on the CPU, where multiplications
            cost more than memory traffic.
        output: ``'logits'`` or ``'argmax'``: classes, of a single logit by the head's threshold.
        output_size: ``'full'`` (the image) or ``'stride'`` (the finest map, usually a quarter).
        verbose: Log what was done.

    Returns:
        InferenceModel: Called with normalised images (N, C, H, W); ``report`` says what was done.

    Raises:
        ValueError: The model is in training mode or not an ``EncoderDecoder``.
    """
    if model.training:
        raise ValueError('optimize() was given a model in training mode: call model.eval() first')
    form = InferenceModel(copy.deepcopy(model), output, output_size).eval()
    report = form.report
    device = next(form.parameters()).device
    form.requires_grad_(False)
    sample = torch.rand(1, input_channels(model), 128, 128, device=device)
    folding = fold_batchnorm(form, sample)
    report.append(f'{len(folding.folded)} batch normalizations folded into convolutions')
    report.extend(f'left: {name} {reason}' for name, reason in folding.left.items())
    _replace_contexts(form)
    if rearrange is None:
        rearrange = device.type == 'cpu'
    if rearrange:
        form.head = _checked(form.head, rearranged(form.head, report), form, sample, report)
    form.to(memory_format=torch.channels_last)
    if verbose:
        print_log('optimize: ' + '; '.join(report), logger='current')
    return form.eval()


class InferenceModel(nn.Module):
    """Backbone, neck and head of a segmentor, and what turns logits into the output.

    Args:
        model: Its parts are used, not copied.
        output: See :func:`optimize`.
        output_size: See :func:`optimize`.

    Attributes:
        report: Lines that say what was done to the model.

    Raises:
        ValueError: An unknown output, or a model that is not a plain ``EncoderDecoder``.
    """

    def __init__(
        self, model: BaseSegmentor, output: str = 'logits', output_size: str = 'full'
    ) -> None:
        super().__init__()
        if not isinstance(model, EncoderDecoder) or isinstance(model.decode_head, nn.ModuleList):
            raise ValueError(
                f'{type(model).__name__} is not an EncoderDecoder with one decode head'
            )
        if output not in OUTPUTS or output_size not in OUTPUT_SIZES:
            raise ValueError(
                f'output={output!r}, output_size={output_size!r}: choose from {OUTPUTS} and '
                f'{OUTPUT_SIZES}'
            )
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.decode_head
        for name in ('dsn', 'loss_decode'):
            if hasattr(self.head, name):
                delattr(self.head, name)
        self.align_corners = model.align_corners
        self.threshold = class_threshold(model)
        self.output, self.output_size = output, output_size
        self.memory_format = torch.channels_last
        self.report: List[str] = []

    def forward(self, image: Tensor) -> Tensor:
        """Segment normalised images.

        Args:
            image: (N, C, H, W), in the channel order of the training (RGB).

        Returns:
            Tensor: Logits (N, K, h, w), or class indices (N, h, w) as int64.
        """
        if not torch.compiler.is_compiling():
            image = image.contiguous(memory_format=self.memory_format)
        logits = self.head(self.neck(self.backbone(image)))
        size = tuple(image.shape[2:]) if self.output_size == 'full' else None
        if self.output == 'argmax':
            return upsampled_argmax(logits, size, self.align_corners, self.threshold)
        return logits if size is None else resize(logits, size, self.align_corners)


def class_threshold(model: BaseSegmentor) -> Optional[float]:
    """Least probability of class 1 where a head has a single logit, else None."""
    return float(model.decode_head.threshold) if model.decode_head.out_channels == 1 else None


def _replace_contexts(model: nn.Module) -> None:
    """Replace every ``PyramidContext`` whose normalization was folded, or that had none."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is PyramidContext and all(
                is_plain(m) for m in child.modules() if isinstance(m, ConvModule)
            ):
                setattr(module, name, InferenceContext(child))


@torch.no_grad()
def _checked(
    head: nn.Module, form: nn.Module, model: InferenceModel, sample: Tensor, report: List[str]
) -> nn.Module:
    """The rearranged head if its logits are those of the head, else the head, and says so."""
    features = model.neck(model.backbone(sample))
    expected, got = head(features), form.eval()(features)
    difference = (got - expected).abs().max() / expected.abs().max().clamp(min=1e-6)
    if difference < 1e-4:
        return form
    report.append(f'left: the head as it was, because rearranging moved logits by {difference:.1e}')
    return head
