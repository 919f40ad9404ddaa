"""Color and blur augmentation of SFNet's training recipe.

Both are in the authors' code (``ColorJitter`` at 0.25, ``RandomGaussianBlur``); the paper does not
name them.
"""

from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from sfnet_mm.utils.arguments import check_range

# These are the weights of ITU-R BT.601 luma, in the order BGR.
LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)


@TRANSFORMS.register_module()
class RandomColorJitter(BaseTransform):
    """Changes brightness, contrast, saturation and hue, in random order.

    The operations are those of torchvision's ``ColorJitter`` on 8-bit images; each rounds its
    result. (mmseg's ``PhotoMetricDistortion`` has other ranges and skips each at random.)

    Required Keys: img, (H, W, 3) uint8 BGR

    Modified Keys: img

    Args:
        brightness: Factors are drawn from 1 - brightness to 1 + brightness.
        contrast: Factors are drawn from 1 - contrast to 1 + contrast.
        saturation: Factors are drawn from 1 - saturation to 1 + saturation.
        hue: Shifts are drawn from -hue to hue, in turns of the color circle; 0.5 at most.

    Raises:
        ValueError: A range is outside 0..1 (hue: 0..0.5). In ``transform``, the image has another
            number of channels or another type.
    """

    def __init__(
        self,
        brightness: float = 0.25,
        contrast: float = 0.25,
        saturation: float = 0.25,
        hue: float = 0.25,
    ) -> None:
        self.ranges = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        check_range('RandomColorJitter', 0, 0.5, hue=hue)
        check_range('RandomColorJitter', 0, 1, **self.ranges)

    @cache_randomness
    def draw(self) -> list[tuple[str, float]]:
        """Draw the operations in the order in which they run, with their factors."""
        names = np.random.permutation(list(self.ranges))
        drawn = []
        for name in map(str, names):
            offset = np.random.uniform(-self.ranges[name], self.ranges[name])
            drawn.append((name, offset if name == 'hue' else 1 + offset))
        return drawn

    def transform(self, results: dict) -> dict:
        """Change the image."""
        image = results['img']
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(
                f'RandomColorJitter: {results.get("img_path", "the image")} is {image.dtype} of '
                f'shape {image.shape}: expected uint8 (H, W, 3), so leave this transform out'
            )
        for name, factor in self.draw():
            results['img'] = OPERATIONS[name](results['img'], factor)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(f"{k}={v}" for k, v in self.ranges.items())})'


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: (H, W, 3) uint8."""
    return cv2.LUT(img, _linear_table(factor, 0))


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean luma of the image: (H, W, 3) uint8."""
    mean = int(float(img.reshape(-1, 3).mean(0) @ LUMA) + 0.5)
    return cv2.LUT(img, _linear_table(factor, (1 - factor) * mean))


def adjust_saturation(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend each pixel with its luma: (H, W, 3) uint8."""
    luma = cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(img, factor, luma, 1 - factor, 0)


def adjust_hue(img: np.ndarray, turns: float) -> np.ndarray:
    """Rotate the color circle; OpenCV's full-range hue has 256 steps."""
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    shifted = (np.arange(256) + round(turns * 256)) % 256
    hsv[..., 0] = cv2.LUT(hsv[..., 0], shifted.astype(np.uint8))
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


OPERATIONS: dict[str, Callable] = dict(
    brightness=adjust_brightness,
    contrast=adjust_contrast,
    saturation=adjust_saturation,
    hue=adjust_hue,
)


def _linear_table(slope: float, offset: float) -> np.ndarray:
    """Compute ``slope * i + offset`` for each 8-bit value i, rounded and clipped: uint8 (256,)."""
    values = np.arange(256, dtype=np.float32) * slope + offset
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@TRANSFORMS.register_module()
class RandomGaussianBlur(BaseTransform):
    """Blurs by a Gaussian of random width.

    Required Keys: img

    Modified Keys: img

    Args:
        sigma: Least and greatest standard deviation in pixels; the authors' by default.
        prob: Probability of a blur; the authors' code always blurs.

    Raises:
        ValueError: The range is empty or not positive, or the probability is outside 0..1.
    """

    def __init__(self, sigma: tuple[float, float] = (0.15, 1.3), prob: float = 1.0) -> None:
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f'RandomGaussianBlur: sigma={sigma} is not two ascending numbers above 0'
            )
        check_range('RandomGaussianBlur', 0, 1, prob=prob)
        self.sigma = tuple(sigma)
        self.prob = prob

    @cache_randomness
    def draw(self) -> float:
        """Draw the standard deviation, or 0 for no blur."""
        return np.random.uniform(*self.sigma) if np.random.random() < self.prob else 0.0

    def transform(self, results: dict) -> dict:
        """Blur the image."""
        sigma = self.draw()
        if sigma:
            # The kernel has four standard deviations to each side; the border pixel is repeated.
            size = 2 * int(4 * sigma + 0.5) + 1
            results['img'] = cv2.GaussianBlur(
                results['img'], (size, size), sigma, borderType=cv2.BORDER_REPLICATE
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sigma={self.sigma}, prob={self.prob})'
