"""The photometric pairs from which ISW learns what style is.

RobustNet, https://arxiv.org/abs/2103.15597, section 4.3: an image and a copy of other colours and
sharpness. Neither mmseg nor mmcv has a colour jitter of a given strength in random order, or a
Gaussian blur; mmcv has the arithmetic of the former and OpenCV that of the latter.
"""

import random
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmseg.registry import TRANSFORMS
from torch import Tensor
from torch.utils.data import Dataset


@TRANSFORMS.register_module()
class PhotometricJitter(BaseTransform):
    """Colour jitter in random order, then Gaussian blur.

    The defaults are RobustNet's for the pairs. Its training images get the weaker
    ``brightness=contrast=saturation=.4, hue=.1, prob=.5`` with the same blur.

    Args:
        brightness: Factor drawn from [1 - brightness, 1 + brightness], not below 0.
        contrast: The same about the mean grey.
        saturation: The same about the grey image.
        hue: Shift drawn from [-hue, hue], in turns of the colour circle (at most 0.5).
        sigma: Range of the standard deviation of the blur in pixels; None does not blur.
        prob: Probability that the colours change at all (the blur always does).

    Required and modified key: ``img`` (H, W, 3), BGR, uint8.

    Raises:
        ValueError: A strength below 0, a hue over 0.5, or a probability outside [0, 1].
    """

    def __init__(self,
                 brightness: float = 0.8,
                 contrast: float = 0.8,
                 saturation: float = 0.8,
                 hue: float = 0.3,
                 sigma: Optional[Tuple[float, float]] = (0.15, 1.3),
                 prob: float = 1.0) -> None:
        strengths = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        for name, value in strengths.items():
            if value < 0 or (name == 'hue' and value > 0.5):
                raise ValueError(f'PhotometricJitter: {name}={value} must be '
                                 f'{"in 0..0.5" if name == "hue" else "0 or more"}')
        if not 0 <= prob <= 1:
            raise ValueError(f'PhotometricJitter: prob={prob} must be in 0..1')
        self.strengths = strengths
        self.sigma = sigma
        self.prob = prob

    def _jitter(self, img: np.ndarray) -> np.ndarray:
        steps = [
            (mmcv.adjust_brightness, 'brightness'),
            (mmcv.adjust_contrast, 'contrast'),
            (mmcv.adjust_color, 'saturation'),
            (mmcv.adjust_hue, 'hue'),
        ]
        for i in np.random.permutation(len(steps)):
            adjust, name = steps[i]
            strength = self.strengths[name]
            if not strength:
                continue
            shift = np.random.uniform(-strength, strength)
            img = adjust(img, shift if name == 'hue' else max(0.0, 1 + shift))
        return img

    def transform(self, results: Dict) -> Dict:
        """Change ``results['img']``."""
        img = results['img']
        if np.random.rand() < self.prob:
            img = self._jitter(img)
        if self.sigma is not None:
            img = cv2.GaussianBlur(img, (0, 0), np.random.uniform(*self.sigma))
        results['img'] = img
        return results

    def __repr__(self) -> str:
        strengths = ', '.join(f'{k}={v}' for k, v in self.strengths.items())
        return f'{type(self).__name__}({strengths}, sigma={self.sigma}, prob={self.prob})'


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Seed ``random`` and ``numpy.random`` and give their states back afterwards.

    So drawing pairs does not shift the augmentation of the training images that follow, and a run
    that is resumed after the statistics sees the same images as one that made them.
    """
    states = random.getstate(), np.random.get_state()
    sequence = np.random.SeedSequence(seed)
    random.seed(int(sequence.generate_state(1)[0]))
    np.random.seed(sequence.generate_state(4))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def image_sources(dataset: Dataset) -> List[Dataset]:
    """The data sets under any wrappers (concatenation, repetition, sampling), each once.

    Raises:
        ValueError: One of them does not say where its images are (``get_data_info``).
    """
    if hasattr(dataset, 'datasets'):
        return [leaf for part in dataset.datasets for leaf in image_sources(part)]
    if hasattr(dataset, 'dataset'):
        return image_sources(dataset.dataset)
    if not hasattr(dataset, 'get_data_info'):
        raise ValueError(f'ISW reads the images of the training data set itself, but '
                         f'{type(dataset).__name__} has no get_data_info; use an mmseg data set')
    return [dataset]


class PhotometricPairs(Dataset):
    """Original and distorted copies of the images of a training data set, whole and unflipped.

    Args:
        dataset: A data set of mmseg, or any wrapper of such.
        distortion: Transforms that make the second image.
        transforms: Transforms of both before that, for instance a ``Resize``.
        seed: With ``trial`` and the index it fixes every random draw, in any worker process.

    Raises:
        ValueError: There is no image.
    """

    def __init__(self,
                 dataset: Dataset,
                 distortion: Sequence[Dict] = (dict(type='PhotometricJitter'), ),
                 transforms: Sequence[Dict] = (),
                 seed: int = 0) -> None:
        self.sources = image_sources(dataset)
        self.ends = np.cumsum([len(source) for source in self.sources])
        if not self.ends[-1]:
            raise ValueError('ISW needs images for its statistics, the training data set is empty')
        self.load = Compose([
            TRANSFORMS.build(t) for t in (dict(type='LoadImageFromFile'), *transforms)
        ])
        self.distort = Compose([TRANSFORMS.build(t) for t in distortion])
        self.seed = seed
        self.trial = 0

    def __len__(self) -> int:
        return int(self.ends[-1])

    def order(self, num_images: int) -> List[int]:
        """Indices of this trial: a random draw without repetition."""
        drawn = np.random.default_rng([self.seed, self.trial]).permutation(len(self))
        return drawn[:num_images].tolist()

    def __getitem__(self, index: int) -> Tensor:
        """Uint8 (2, 3, H, W) in the channel order of the files: the image, its distorted copy."""
        part = int(np.searchsorted(self.ends, index, side='right'))
        offset = self.ends[part - 1] if part else 0
        info = self.sources[part].get_data_info(int(index - offset))
        with seeded(self.seed, self.trial, index):
            original = self.load(dict(info))
            distorted = self.distort(dict(original, img=original['img'].copy()))
        pair = np.stack([original['img'], distorted['img']])
        return torch.from_numpy(np.ascontiguousarray(pair.transpose(0, 3, 1, 2)))
