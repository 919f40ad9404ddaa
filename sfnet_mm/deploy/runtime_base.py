"""What all runtimes share: an image becomes the input of a graph, and its output a mask."""

import json
import os.path as osp
from typing import Any, Dict, List

import cv2
import numpy as np
import torch

from .export import check_size
from .upsampled_argmax import upsampled_argmax


class Runtime:
    """A model that is ready to run.

    Args:
        meta: See :func:`sfnet_mm.deploy.export.metadata`.

    Attributes:
        classes: Names of the classes; None for a panoptic graph.
        palette: One RGB triple per class; None for a panoptic graph.
    """

    name = ''

    def __init__(self, meta: Dict[str, Any]) -> None:
        self.meta = meta
        self.classes, self.palette = meta.get('classes'), meta.get('palette')

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Class of every pixel.

        An image of another size than that of a fixed-size graph is resized, and the mask back.

        Args:
            image: (H, W, 3) uint8, BGR, as ``mmcv.imread`` gives it.

        Returns:
            (H, W) uint8.

        Raises:
            ValueError: Not such an image, or one that is too small.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f'image is {image.dtype} of shape {image.shape}: expected (H, W, 3) uint8, BGR'
            )
        if self.meta['output'] == 'panoptic':
            raise ValueError(
                'the graph ends in masks of a panoptic model, not in classes of pixels: '
                'use infer_all() and merge them with KNetFusionHead'
            )
        size = image.shape[:2]
        run_size = tuple(self.meta['size'] or size)
        check_size(run_size)
        if run_size != size:
            image = cv2.resize(image, run_size[::-1], interpolation=cv2.INTER_LINEAR)
        out = self.infer(self.prepare(image))
        if out.ndim == 4:
            out = upsampled_argmax(
                torch.from_numpy(out).float(), run_size, self.meta['align_corners']
            ).numpy()
        mask = out[0].astype(np.uint8)
        if mask.shape == size:
            return mask
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The input of the graph made of an image (H, W, 3) uint8, BGR."""
        if self.meta['input'] == 'raw':
            return image[None]
        if self.meta['bgr_to_rgb']:
            image = image[..., ::-1]
        mean, std = np.float32(self.meta['mean']), np.float32(self.meta['std'])
        return np.ascontiguousarray(((image - mean) / std).transpose(2, 0, 1)[None])

    def infer(self, data: np.ndarray) -> np.ndarray:
        """Run the graph on its input; its first output."""
        return self.infer_all(data)[0]

    def infer_all(self, data: np.ndarray) -> List[np.ndarray]:
        """Run the graph on its input; all outputs."""
        raise NotImplementedError


def read_meta(props: Dict[str, str], path: str) -> Dict[str, Any]:
    """Metadata that ``export_onnx.py`` wrote into a graph.

    Raises:
        ValueError: There is none.
    """
    if 'sfnet_mm' not in props:
        raise ValueError(f'{path} has no metadata of sfnet_mm: make it with export_onnx.py')
    return {key: json.loads(value) for key, value in props.items()}


def check_file(path: str, suffix: str) -> None:
    """Raise ``ValueError`` for another suffix and ``FileNotFoundError`` where there is no file."""
    if not path.endswith(suffix):
        raise ValueError(f'{path} must be a file ending in {suffix}')
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist')
