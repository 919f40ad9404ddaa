"""Makes the module that is traced into a graph, and the module that the graph must agree with."""

from typing import Any

import torch
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from ..inference.optimize import class_threshold, main_output, optimize
from ..model import normalization
from .random_networks import random_images


class HostModel(nn.Module):
    """A segmentor with the outputs of ``InferenceModel``, all computed by mmseg's own functions.

    Args:
        model: A segmentor in evaluation mode. It is not copied.
        output: See :func:`sfnet_mm.deploy.inference.optimize`.
        output_size: See :func:`sfnet_mm.deploy.inference.optimize`.
    """

    def __init__(self, model: BaseSegmentor, output: str, output_size: str) -> None:
        super().__init__()
        self.model, self.output, self.output_size = model, output, output_size
        self.threshold = class_threshold(model)

    def forward(self, image: Tensor) -> Tensor:
        """Map normalized images (N, C, H, W) to logits (N, K, h, w) or classes (N, h, w)."""
        if self.output_size == 'stride':
            logits = main_output(self.model(image, mode='tensor'))
        else:
            size = image.shape[2:]
            meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
            logits = self.model.encode_decode(image, [meta] * len(image))
        if self.output == 'logits':
            return logits
        results = self.model.postprocess_result(logits)
        return torch.cat([result.pred_sem_seg.data for result in results])


class ExportModel(nn.Module):
    """The module that is traced: an inference form, after an optional normalization.

    Args:
        model: The segmentor, which tells the normalization.
        form: Its inference form, or its :class:`HostModel`.
        normalize: Take raw images (N, H, W, 3) uint8, BGR, instead of normalized (N, 3, H, W).
    """

    def __init__(self, model: BaseSegmentor, form: nn.Module, normalize: bool) -> None:
        super().__init__()
        mean, std, self.swap = normalization(model)
        self.form, self.normalize = form, normalize
        self.channels = len(mean)
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits as float32 or classes as int32."""
        if self.normalize:
            image = image.permute(0, 3, 1, 2).float()
            if self.swap:
                image = image.flip(1)
            image = (image - self.mean) / self.std
        out = self.form(image)
        return out.to(torch.int32) if self.form.output == 'argmax' else out

    @property
    def output_name(self) -> str:
        """The name of the output of the graph."""
        return 'mask' if self.form.output == 'argmax' else 'logits'

    def open_shapes(self) -> tuple[dict[int, Any]]:
        """Return ``dynamic_shapes`` for a graph whose batch size, height and width are open."""
        rows = 1 if self.normalize else 2
        return (dict.fromkeys((0, rows, rows + 1), torch.export.Dim.DYNAMIC),)

    def sample(self, batch: int, size: tuple[int, int], seed: int = 0) -> Tensor:
        """Draw a random input of the graph, with structure at all scales as in a photograph."""
        images = random_images(batch, size, seed, self.channels)
        if self.normalize:
            return (images * 64 + 128).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()
        return images


def make_export_model(
    model: BaseSegmentor,
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
) -> ExportModel:
    """Make the module that :func:`export_onnx` traces."""
    form = optimize(model, True, output, output_size, verbose=False)
    return ExportModel(model, form, normalize).eval()


def make_reference(
    model: BaseSegmentor,
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
) -> ExportModel:
    """Make a module that computes the outputs of :func:`make_export_model` by mmseg's functions.

    The exported file is compared with it.
    """
    return ExportModel(model, HostModel(model, output, output_size), normalize).eval()
