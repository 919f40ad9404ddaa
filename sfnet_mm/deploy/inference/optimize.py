"""Makes the inference form of a segmentor, which computes the same logits in less time."""

import copy
from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmseg.models import BaseSegmentor, EncoderDecoder
from mmseg.models.decode_heads import DAHead, EncHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from sfnet_mm.deploy.model import input_channels
from sfnet_mm.models.layers.upsampling import resize

from .folding import fold_batchnorm
from .rearranging import rearrange_layers
from .upsampled_argmax import upsampled_argmax

OUTPUTS = ('logits', 'argmax')
OUTPUT_SIZES = ('full', 'stride')


def optimize(
    model: BaseSegmentor,
    rearrange: bool | None = None,
    output: str = 'logits',
    output_size: str = 'full',
    verbose: bool = True,
) -> 'InferenceModel':
    """Make the inference form of a segmentor without changing the model.

    Auxiliary heads are removed, batch normalization is folded into the convolutions, weights are
    laid out channels-last, and the decoders of SFNet and SFNet-Lite are rearranged. Logits differ
    from those of ``model`` by rounding only. Layers that cannot be folded or rearranged are not
    changed, and the report names them.

    Args:
        model: Any ``EncoderDecoder`` in evaluation mode.
        rearrange: Whether decoders are rearranged. None rearranges them only on the CPU, where
            multiplications cost more than memory traffic.
        output: ``'logits'``, or ``'argmax'`` for classes. A single logit becomes a class by the
            threshold of the head.
        output_size: ``'full'`` for the size of the image, or ``'stride'`` for the size of the
            finest map, which is usually a quarter of it.
        verbose: Whether to log what was done.

    Returns:
        InferenceModel: A module that takes normalized images (N, C, H, W). Its ``report`` says what
        was done.

    Raises:
        ValueError: The model is in training mode, is not an ``EncoderDecoder``, or has a head that
            does not test by its ``forward``.
    """
    if model.training:
        raise ValueError('optimize() was given a model in training mode: call model.eval() first')
    form = InferenceModel(copy.deepcopy(model), output, output_size).eval()
    weight = next(form.parameters())
    device, dtype = weight.device, weight.dtype
    # Weights of half precision are composed and compared in float32.
    exact = torch.promote_types(dtype, torch.float32)
    form.to(exact)
    sample = torch.rand(1, input_channels(model), 128, 128, device=device, dtype=exact)
    folding = fold_batchnorm(form, sample)
    form.report = [f'{len(folding.folded)} batch normalizations folded into convolutions']
    form.report.extend(f'left: {name} {reason}' for name, reason in folding.left.items())
    if rearrange is None:
        rearrange = device.type == 'cpu'
    _rearrange(form, sample, rearrange)
    _lay_out_channels_last(form, sample)
    form.to(dtype)
    form.requires_grad_(False)  # also the convolutions that were made here
    if verbose:
        print_log('optimize: ' + '; '.join(form.report), logger='current')
    return form


@torch.no_grad()
def _rearrange(form: 'InferenceModel', sample: Tensor, rearrange: bool) -> None:
    """Rearrange layers in place if the output stays the same, and add lines to the report."""
    expected = form.logits(sample)
    rearranging = rearrange_layers(form, rearrange)
    got = form.eval().logits(sample)
    difference = (got - expected).abs().max() / expected.abs().max().clamp(min=1e-6)
    if difference < 1e-4:
        form.report += rearranging.report()
    else:
        rearranging.undo(form)
        form.report.append(
            f'left: all layers as they were, because rearranging moved logits by {difference:.1e}'
        )


@torch.no_grad()
def _lay_out_channels_last(form: 'InferenceModel', sample: Tensor) -> None:
    """Lay weights and maps out channels-last, unless a layer cannot reshape its weights then."""
    try:
        form.to(memory_format=torch.channels_last).logits(sample)
    except RuntimeError:
        form.to(memory_format=torch.contiguous_format)
        form.channels_last = False
        form.report.append('left: weights as they were laid out, because a layer reshapes them')


# These heads of mmseg test by their forward(), or by the first of its results.
_PREDICTS = [head.predict for head in (BaseDecodeHead, DAHead, EncHead)]


class InferenceModel(nn.Module):
    """The backbone, neck and head of a segmentor, followed by the choice of classes.

    Args:
        model: Segmentor whose parts are used and not copied.
        output: See :func:`optimize`.
        output_size: See :func:`optimize`.

    Attributes:
        channels_last: Whether images are laid out channels-last.
        report: Lines that say what was done to the model.

    Raises:
        ValueError: The output is unknown, or the model is not a plain ``EncoderDecoder``.
    """

    def __init__(
        self, model: BaseSegmentor, output: str = 'logits', output_size: str = 'full'
    ) -> None:
        super().__init__()
        if not isinstance(model, EncoderDecoder) or isinstance(model.decode_head, nn.ModuleList):
            raise ValueError(
                f'{type(model).__name__} is not an EncoderDecoder with one decode head'
            )
        if getattr(type(model.decode_head), 'predict', None) not in _PREDICTS:
            raise ValueError(
                f'{type(model.decode_head).__name__} tests by a predict() of its own, which has no '
                'inference form: use the torch model'
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
        # Not the memory format itself, which torch.save cannot write.
        self.channels_last = True
        self.report: list[str] = []

    def logits(self, image: Tensor) -> Tensor:
        """Map normalized images (N, C, H, W) to logits (N, K, h, w) of the finest map's size."""
        return main_output(self.head(self.neck(self.backbone(image))))

    def forward(self, image: Tensor) -> Tensor:
        """Segment normalized images.

        Args:
            image: (N, C, H, W), in the channel order of the training (RGB).

        Returns:
            Tensor: Logits (N, K, h, w), or class indices (N, h, w) as int64.
        """
        if not torch.compiler.is_compiling():
            layout = torch.channels_last if self.channels_last else torch.contiguous_format
            image = image.contiguous(memory_format=layout)
        logits = self.logits(image)
        size = tuple(image.shape[2:]) if self.output_size == 'full' else None
        if self.output == 'argmax':
            return upsampled_argmax(logits, size, self.align_corners, self.threshold)
        return logits if size is None else resize(logits, size, self.align_corners)


def main_output(outputs: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the logits by which a head tests, of those that it computes for its losses."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def class_threshold(model: BaseSegmentor) -> float | None:
    """Return the threshold of class 1 for a head with a single logit, or None for other heads."""
    return float(model.decode_head.threshold) if model.decode_head.out_channels == 1 else None
