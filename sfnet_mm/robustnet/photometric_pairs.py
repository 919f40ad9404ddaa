"""Makes the photometric pairs from which ISW learns which covariances depend on style.

RobustNet, https://arxiv.org/abs/2103.15597, section 4.3: a pair is an image and a copy of it with
other colors and other sharpness.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS
from torch import Tensor
from torch.utils.data import Dataset

from sfnet_mm.utils.dataset_leaves import leaves_of

#: This is the distortion of RobustNet, which is much stronger than the augmentation of its training
#: images (0.4, 0.4, 0.4, 0.1 with probability 0.5, and the same blur).
DISTORTION = (
    dict(type='RandomColorJitter', brightness=0.8, contrast=0.8, saturation=0.8, hue=0.3),
    dict(type='RandomGaussianBlur', sigma=(0.15, 1.3)),
)
LOADING = (dict(type='LoadImageWhole'),)


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Seed ``random`` and ``numpy.random``, and restore their states afterward.

    So drawing pairs does not change the augmentation of the training images that follow, and a run
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


def image_sources(dataset: Dataset) -> list[Dataset]:
    """Find the data sets inside any wrappers (concatenation, repetition, sampling), each once.

    Raises:
        ValueError: One of them does not tell the paths of its images (``get_data_info``).
    """
    leaves = [leaf for leaf, _ in leaves_of(dataset)]
    for leaf in leaves:
        if not hasattr(leaf, 'get_data_info'):
            raise ValueError(
                f'ISW reads the images of the training data set itself, but '
                f'{type(leaf).__name__} has no get_data_info; use an mmseg data set'
            )
    return leaves


class PhotometricPairs(Dataset):
    """Original and distorted copies of the images of a training data set, whole and unflipped.

    Args:
        dataset: A data set of mmseg, or any wrapper of data sets.
        distortion: Transforms that make the second image from the first.
        loading: Transforms that load the first image from a path; by default the whole image.
        seed: Together with ``trial`` and the index it fixes every random draw in any worker.

    Raises:
        ValueError: There are no images.
    """

    def __init__(
        self,
        dataset: Dataset,
        distortion: Sequence[dict] = DISTORTION,
        loading: Sequence[dict] = LOADING,
        seed: int = 0,
    ) -> None:
        self.sources = image_sources(dataset)
        self.ends = np.cumsum([len(source) for source in self.sources])
        if not self.ends[-1]:
            raise ValueError('ISW needs images for its statistics, the training data set is empty')
        self.load = Compose([TRANSFORMS.build(t) for t in loading])
        self.distort = Compose([TRANSFORMS.build(t) for t in distortion])
        self.seed = seed
        self.trial = 0

    def __len__(self) -> int:
        return int(self.ends[-1])

    def order(self, num_images: int) -> list[int]:
        """Draw the indices of this trial at random, without repetition."""
        drawn = np.random.default_rng([self.seed, self.trial]).permutation(len(self))
        return drawn[:num_images].tolist()

    def __getitem__(self, index: int) -> Tensor:
        """Load an image and its distorted copy: uint8 (2, 3, H, W), channels as in the file."""
        part = int(np.searchsorted(self.ends, index, side='right'))
        offset = self.ends[part - 1] if part else 0
        info = self.sources[part].get_data_info(int(index - offset))
        with seeded(self.seed, self.trial, index):
            original = self.load(dict(info))
            distorted = self.distort(dict(original, img=original['img'].copy()))
        pair = np.stack([original['img'], distorted['img']])
        return torch.from_numpy(np.ascontiguousarray(pair.transpose(0, 3, 1, 2)))
