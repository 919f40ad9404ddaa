"""Defines the base of all runtimes, which prepares images and turns outputs into masks."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from sfnet_mm.deploy.export.checks import check_size
from sfnet_mm.deploy.image_pipeline import Frame, ImagePipeline
from sfnet_mm.deploy.inference.upsampled_argmax import resize_classes, upsampled_argmax
from sfnet_mm.models.layers.upsampling import resize
from sfnet_mm.utils.media import mask_dtype
from sfnet_mm.utils.timer import Timer

from .sliding import Size, slide, windows


class Runtime:
    """A model that runs as mmseg tests it.

    Args:
        meta: Metadata of :func:`sfnet_mm.deploy.export.metadata.metadata`.

    Attributes:
        classes: Names of the classes; None for a panoptic graph.
        palette: One RGB triple per class; None for a panoptic graph.
        channels: Number of channels of an image.
        loading: ``color_type`` and ``imdecode_backend`` with which the config loads images.
        pipeline: Transforms of an image before its normalization.
        mask_dtype: Dtype of a mask: uint8, or uint16 for more than 255 classes.
        network_ms: Milliseconds of the network for the latest image, without the preparation of the
            image and the choice of classes.
    """

    name = ''

    def __init__(self, meta: dict[str, Any]) -> None:
        self.meta = meta
        self.classes, self.palette = meta.get('classes'), meta.get('palette')
        self.channels = meta.get('channels', 3)
        self.align_corners = meta.get('align_corners', True)
        self.set_pipeline(meta.get('loading') or {}, meta.get('pipeline') or ())
        classes = meta.get('num_classes') or len(self.classes or ())
        self.mask_dtype = mask_dtype(classes)
        self.network_ms = 0.0
        self._warned = False

    def set_pipeline(self, loading: dict[str, Any], steps: Sequence[dict[str, Any]]) -> None:
        """Set the results of :func:`sfnet_mm.deploy.image_pipeline.pipeline_steps` for images."""
        self.loading = dict(loading)
        self.pipeline = ImagePipeline(steps, self.loading.pop('to_float32', False))

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Predict the class of every pixel, as mmseg's ``inference_model`` does.

        The image passes the test pipeline of the config. The mask has the size of the image, or
        that of :meth:`shown` if the pipeline crops the image and resets the original shape. If the
        graph has a fixed size and the pipeline gives another one, the image is resized to it, with
        a warning.

        Args:
            image: (H, W, C). Three channels are BGR and uint8, as from ``mmcv.imread``. Another
                number of channels may also be uint16 or float32, and one channel may be (H, W).

        Returns:
            (H, W) uint8, or uint16 for more than 255 classes.

        Raises:
            ValueError: The image has another form or is too small.
        """
        return self._predict_mask(*self._prepare_input(image)).astype(self.mask_dtype)

    def predict_logits(self, image: np.ndarray) -> Tensor:
        """Compute the logits whose classes :meth:`predict` gives.

        Args:
            image: See :meth:`predict`.

        Returns:
            (K, H, W) float32, at the size of the mask.

        Raises:
            ValueError: See :meth:`predict`. The error is also raised if the graph ends in classes.
        """
        data, inner, size = self._prepare_input(image)
        out = self._slide(data) if self.meta.get('slide') else self._timed_output(data, True)
        if out.ndim == 3:
            raise ValueError('the graph ends in classes: export it with --output logits')
        out = self._remove_padding(out, self._size_of(data), inner, size)
        return resize(out, size, self.align_corners)[0]

    def graph_inputs(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the inputs of the graph for an image: one array, or one for each window."""
        data = self._prepare_input(image)[0]
        if self.meta.get('slide'):
            for rows, columns in windows(self._size_of(data), **self.meta['slide']):
                yield self._crop(data, rows, columns)
        else:
            yield data

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Return the part of an image (H, W, C) that its mask covers, at the size of the mask."""
        return self.pipeline.shown(image)[0]

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Convert an image (H, W, C), BGR if it has three channels, to the input of the graph."""
        if self.meta['input'] == 'raw':
            return np.ascontiguousarray(image[None])
        if self.meta['bgr_to_rgb']:
            image = image[..., ::-1]
        mean, std = np.float32(self.meta['mean']), np.float32(self.meta['std'])
        data = (image.astype(np.float32) - mean) / std
        return np.ascontiguousarray(data.transpose(2, 0, 1)[None])

    def infer(self, data: np.ndarray) -> np.ndarray:
        """Run the graph on an input and return its first output."""
        return self.infer_all(data)[0]

    def infer_logits(self, data: np.ndarray) -> np.ndarray:
        """Run the graph as :meth:`infer` does, but return logits (N, K, h, w) if possible."""
        return self.infer(data)

    def infer_all(self, data: np.ndarray) -> list[np.ndarray]:
        """Run the graph on an input and return all outputs."""
        raise NotImplementedError

    def _prepare_input(self, image: np.ndarray) -> tuple[np.ndarray, Size, Size]:
        """Return the input of the graph, its size without padding, and the size of the mask."""
        if self.meta['output'] == 'panoptic':
            raise ValueError(
                'the graph ends in masks of a panoptic model, not in classes of pixels: '
                'use infer_all() and merge them with KNetFusionHead'
            )
        self.network_ms = 0.0
        image = self._check_image(image)
        frame = self.pipeline(image)
        data = self._pad(self.prepare(frame.image))
        inner = frame.image.shape[:2]
        fixed, sliding = self.meta['size'], self.meta.get('slide')
        if fixed and not sliding and self._size_of(data) != tuple(fixed):
            data = self._resize_input(image, frame, self._size_of(data))
            inner = tuple(fixed)
        return data, inner, frame.size

    def _check_image(self, image: np.ndarray) -> np.ndarray:
        """Add a missing axis of channels to an image, and refuse an image of another form."""
        if not isinstance(image, np.ndarray):
            raise ValueError(
                f'image is {type(image).__name__}: expected an array, as from mmcv.imread'
            )
        if image.ndim == 2 and self.channels == 1:
            image = image[..., None]
        raw = self.meta['input'] == 'raw' or self.channels == 3
        dtypes = ('uint8',) if raw else ('uint8', 'uint16', 'float32')
        fits = image.ndim == 3 and image.shape[2] == self.channels
        if not fits or image.dtype.name not in dtypes:
            order = ', BGR' if self.channels == 3 else ''
            raise ValueError(
                f'image is {image.dtype} of shape {image.shape}: expected (H, W, {self.channels}) '
                f'{" or ".join(dtypes)}{order}'
            )
        return image

    def _size_of(self, data: np.ndarray) -> Size:
        rows = 1 if self.meta['input'] == 'raw' else 2
        return tuple(data.shape[rows : rows + 2])

    def _crop(self, data: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        raw = self.meta['input'] == 'raw'
        return np.ascontiguousarray(data[:, rows, columns] if raw else data[:, :, rows, columns])

    def _pad(self, data: np.ndarray) -> np.ndarray:
        """Pad an input at the bottom and right as the data preprocessor pads test images."""
        padding = self.meta.get('padding')
        if not padding:
            return data
        size = self._size_of(data)
        if padding['size']:
            wanted = [max(a, b) for a, b in zip(size, padding['size'])]
        else:
            divisor = padding['size_divisor']
            wanted = [-(-side // divisor) * divisor for side in size]
        margins = [(0, 0), (0, 0), *((0, b - a) for a, b in zip(size, wanted))]
        return np.pad(data, margins, constant_values=padding['value'])

    def _resize_input(self, image: np.ndarray, frame: Frame, tested: Size) -> np.ndarray:
        """Make the input of a fixed-size graph of an image that the test brings to another size."""
        size = tuple(self.meta['size'])
        if not self._warned:
            self._warned = True
            warnings.warn(
                f'an image of {tested[0]}x{tested[1]} runs at {size[0]}x{size[1]}, the size of the '
                'graph: its mask differs from that of the test; export with --dynamic for any size',
                stacklevel=4,
            )
        source = image if frame.size == image.shape[:2] else frame.image
        source = cv2.resize(source, size[::-1], interpolation=cv2.INTER_LINEAR)
        return self.prepare(source.reshape(*size, self.channels))

    def _predict_mask(self, data: np.ndarray, inner: Size, size: Size) -> np.ndarray:
        """Predict classes (H, W) at ``size``; the part ``inner`` of the input has no padding."""
        run = self._size_of(data)
        if self.meta.get('slide'):
            out = self._slide(data)
        else:
            out = self._timed_output(data, not run == inner == size)
            if out.ndim == 3:
                return resize_classes(out[0].numpy(), run, inner, size, self.align_corners)
        out = self._remove_padding(out, run, inner, size)
        threshold = self.meta.get('threshold')
        return upsampled_argmax(out, size, self.align_corners, threshold)[0].numpy()

    def _timed_output(self, data: np.ndarray, logits: bool) -> Tensor:
        """Run the graph and return classes (N, h, w), or logits (N, K, h, w) if possible."""
        check_size(self._size_of(data), self.meta.get('pools_context', True))
        with Timer() as timer:
            out = self.infer_logits(data) if logits else self.infer(data)
        self.network_ms += timer.milliseconds
        return torch.from_numpy(out)

    def _remove_padding(self, logits: Tensor, run: Size, inner: Size, size: Size) -> Tensor:
        """Resize logits to the input and remove the padding, before they are resized to the mask.

        mmseg takes the same steps.
        """
        if run == inner == size:
            return logits.float()
        full = resize(logits.float(), run, self.align_corners)
        return full[:, :, : inner[0], : inner[1]]

    def _slide(self, data: np.ndarray) -> Tensor:
        size, crop = self._size_of(data), self.meta['slide']['crop_size']
        if self.meta['size'] and any(side < length for side, length in zip(size, crop)):
            raise ValueError(
                f'image of {size[0]}x{size[1]} is smaller than the windows of {crop[0]}x{crop[1]} '
                'of a graph of that size: export with --dynamic'
            )

        def logits_of(rows: slice, columns: slice) -> Tensor:
            part = self._crop(data, rows, columns)
            logits = self._timed_output(part, True).float()
            return resize(logits, self._size_of(part), self.align_corners)

        return slide(logits_of, size, **self.meta['slide'])
