"""Reads an image and its mask of a user's own data set and reports their errors."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from mmengine.utils import scandir
from PIL import Image

from sfnet_mm.utils.file_names import IMAGE_SUFFIXES, distinct_names

from .pipelines import EXIF_ORIENTATION
from .source_layouts import Pair
from .transforms.loading import open_image

# These are the kinds of masks. Only for the first kind do all readers return the same ids.
INDEX, PALETTE, DEEP, COLOR, ALPHA = 'index', 'palette', '16-bit', 'RGB', 'alpha'
_KINDS = {'1': INDEX, 'L': INDEX, 'P': PALETTE, 'RGB': COLOR, 'CMYK': COLOR, 'YCbCr': COLOR}
_KINDS.update(dict.fromkeys(('LA', 'PA', 'RGBA'), ALPHA))
# At most this many colors are kept, because a photo that was saved as a mask has very many.
MAX_COLORS = 256


@dataclass
class PairFacts:
    """The contents of an image and its mask.

    Args:
        pair: Paths of both.
        image_error: Why the image cannot be read; empty if it can.
        mask_error: Why the mask cannot be read; empty if it can.
        image_size: (height, width) of the pixels as the file stores them.
        mask_size: (height, width) of the mask.
        orientation: Orientation in EXIF, 1 to 8; 1 leaves the image as it is.
        kind: Kind of the mask.
        ids: Number of pixels of each id; empty for a mask of colors.
        colors: Number of pixels of each color (red, green, blue), at most ``MAX_COLORS`` of them.
    """

    pair: Pair
    image_error: str = ''
    mask_error: str = ''
    image_size: tuple[int, int] = (0, 0)
    mask_size: tuple[int, int] = (0, 0)
    orientation: int = 1
    kind: str = ''
    ids: dict[int, int] = field(default_factory=dict)
    colors: Counter = field(default_factory=Counter)

    @property
    def fits(self) -> bool:
        """Whether both could be read and have the same size."""
        return not (self.image_error or self.mask_error) and self.image_size == self.mask_size


def find_files(folder: str, suffix: str = '', without: str = '') -> dict[str, str]:
    """Map relative paths without suffix to the paths of all images in a folder and its subfolders.

    Args:
        folder: The folder; its hidden files are skipped.
        suffix: End of the names, such as ``_leftImg8bit.png``; by default that of any image.
        without: A folder that is skipped if it is inside.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder has no image, or two of the same name.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(f'the folder {folder} does not exist')
    endings = suffix or IMAGE_SUFFIXES
    names = sorted(scandir(folder, endings, recursive=True, case_sensitive=bool(suffix)))
    inner = os.path.relpath(os.path.realpath(without), os.path.realpath(folder)) if without else '.'
    if inner != '.':
        names = [name for name in names if not name.startswith(os.path.join(inner, ''))]
    if not names:
        shown = suffix or ', '.join(IMAGE_SUFFIXES)
        raise ValueError(f'the folder {folder} holds no file that ends in {shown}')
    if suffix:
        return {name[: -len(suffix)]: os.path.join(folder, name) for name in names}
    return distinct_names((name, os.path.join(folder, name)) for name in names)


def mask_kind(mask: Image.Image) -> str:
    """Return the kind of a mask, one of the constants above."""
    return _KINDS.get(mask.mode, DEEP)


def mask_ids(mask: Image.Image) -> np.ndarray | None:
    """Return the ids (H, W) of a mask with one channel besides alpha; None for a mask of colors."""
    if mask.mode == 'LA':
        return np.asarray(mask)[..., 0]
    if mask_kind(mask) in (INDEX, PALETTE, DEEP):
        # Images with a palette have ids as indices, not as colors.
        ids = np.asarray(mask)
        return ids.astype(np.uint8) if ids.dtype == bool else ids
    return None


def inspect_pair(pair: Pair) -> PairFacts:
    """Read an image and its mask; the result contains errors instead of raising them."""
    facts = PairFacts(pair)
    try:
        image = open_image(pair.image)
        facts.image_size = image.size[::-1]
        facts.orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    except (OSError, ValueError) as error:
        facts.image_error = str(error)
    try:
        mask = open_image(pair.mask)
    except (OSError, ValueError) as error:
        facts.mask_error = str(error)
        return facts
    facts.mask_size, facts.kind = mask.size[::-1], mask_kind(mask)
    ids = mask_ids(mask)
    if ids is not None:
        values, counts = np.unique(ids, return_counts=True)
        facts.ids = {int(v): int(n) for v, n in zip(values, counts)}
    if ids is None or facts.kind == PALETTE:
        facts.colors = _count_colors(mask)
    return facts


def pack_colors(mask: Image.Image) -> np.ndarray:
    """Pack each color of a mask into a number (H, W): red * 65536 + green * 256 + blue."""
    rgb = np.asarray(mask.convert('RGB'), np.int64)
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]


def _count_colors(mask: Image.Image) -> Counter:
    found = mask.convert('RGB').getcolors(mask.width * mask.height)
    most = sorted(found, key=lambda entry: (-entry[0], entry[1]))[:MAX_COLORS]
    return Counter({color: number for number, color in most})
