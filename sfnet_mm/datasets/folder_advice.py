"""Recommends settings of a config for a user's own data set, and draws its masks."""

from __future__ import annotations

import os.path as osp
from collections import Counter

import matplotlib
import numpy as np

from sfnet_mm.visualization import draw_sheet, overlay, save_png

from .folder_check import FolderReport
from .folder_files import PairFacts, mask_ids
from .label_maps import IGNORE_INDEX
from .transforms.loading import open_image

# These are the largest crop, which is the paper's, and the stride of the backbones.
LARGEST_CROP, STRIDE = 1024, 32
OVERLAYS = 12


def class_pixels(report: FolderReport) -> np.ndarray:
    """Count the pixels of each class: int64 (num_classes,)."""
    found = report.ids
    return np.array([found[value] for value in report.class_ids], np.int64)


def class_weights(pixels: np.ndarray) -> np.ndarray:
    """Compute weights of the cross-entropy that favor rare classes, with a mean of 1.

    The weight is ``1 / ln(1.02 + share)`` as in "ENet: A Deep Neural Network Architecture for
    Real-Time Semantic Segmentation" (https://arxiv.org/abs/1606.02147, section 5.2), which bounds
    the weight of a rare class. It is divided by the mean weight. A class without pixels gets the
    mean.

    Args:
        pixels: Number of pixels of each class, (num_classes,).

    Returns:
        float64 (num_classes,).
    """
    used = pixels > 0
    weights = np.ones(len(pixels))
    if used.any():
        raw = 1 / np.log(1.02 + pixels[used] / pixels.sum())
        weights[used] = raw / raw.mean()
    return weights


def crop_size(facts: list[PairFacts]) -> tuple[int, int] | None:
    """Choose (height, width) of training crops: the median sides in steps of 32, at most 1024."""
    sizes = [f.image_size for f in facts if f.image_size != (0, 0)]
    if not sizes:
        return None
    sides = np.median(sizes, axis=0).astype(int)
    height, width = np.clip(sides // STRIDE * STRIDE, STRIDE, LARGEST_CROP)
    return int(height), int(width)


def describe_classes(report: FolderReport) -> list[str]:
    """Describe each class in a line: its share of labeled pixels, and how many masks have it."""
    pixels = class_pixels(report)
    lines = []
    for i, (value, n) in enumerate(zip(report.class_ids, pixels)):
        images = sum(value in facts.ids for facts in report.facts)
        share = n / max(1, pixels.sum())
        lines.append(f'class {i}: {share:7.2%} of the labeled pixels, in {images} masks')
    return lines


def list_colors(report: FolderReport, most: int = 20) -> list[str]:
    """List the most frequent colors of color masks, as lines of a color table without ids."""
    total: Counter = Counter()
    for facts in report.facts:
        total.update(facts.colors)
    pixels = max(1, sum(total.values()))
    lines = [f'{r} {g} {b} ID  # {n / pixels:.2%}' for (r, g, b), n in total.most_common(most)]
    return lines + ([f'# and {len(total) - most} more'] if len(total) > most else [])


def recommendation(report: FolderReport) -> list[str]:
    """Write lines of a config: classes, ignored label, class weights and crop.

    The list is empty if no mask has ids.
    """
    reduce_zero_label, num_classes = report.reduce_zero_label, report.num_classes
    pixels = class_pixels(report)
    if not pixels.any():
        return []
    # No pixel is labeled 0, so the ids begin at 1.
    if not reduce_zero_label and not report.given_classes and pixels[0] == 0:
        reduce_zero_label, num_classes, pixels = True, num_classes - 1, pixels[1:]
    weights = ', '.join(f'{w:.3f}' for w in class_weights(pixels))
    return [
        f'num_classes = {num_classes}',
        f'ignore_index = {IGNORE_INDEX}',
        f'reduce_zero_label = {reduce_zero_label}',
        f'class_weight = [{weights}]',
        f'crop_size = {crop_size(report.facts)}',
    ]


def draw_overlays(report: FolderReport, path: str) -> str:
    """Draw the masks of up to twelve images, spread over the folder, over their images.

    Args:
        report: Report of the folders. Pairs that cannot be read or differ in size are skipped.
        path: Path of the PNG.

    Returns:
        ``path``.

    Raises:
        ValueError: There is no pair to draw.
    """
    usable = [facts for facts in report.facts if facts.fits]
    if not usable:
        raise ValueError(f'{path} is not drawn: no image has a mask of its size')
    chosen = np.unique(np.linspace(0, len(usable) - 1, OVERLAYS).round().astype(int))
    base = (np.array(matplotlib.colormaps['tab20'].colors) * 255).round().astype(int).tolist()
    palette = [base[i % len(base)] for i in range(report.num_classes)]
    # Each id gets a color. In binary masks and with reduce_zero_label, ids are not class indices.
    by_id = np.zeros((IGNORE_INDEX + 1, 3), int)
    for value, color in zip(report.class_ids, palette):
        by_id[value] = color
    tiles = []
    for facts in (usable[i] for i in chosen):
        image = np.asarray(open_image(facts.pair.image).convert('RGB'))
        mask = open_image(facts.pair.mask)
        ids = mask_ids(mask)
        if ids is None:
            picture = image // 2 + np.asarray(mask.convert('RGB')) // 2
        else:
            picture = overlay(image, ids, by_id)
        tiles.append((osp.basename(facts.pair.image)[-48:], picture))
    names = [str(i) for i in range(report.num_classes)]
    return save_png(path, draw_sheet('Masks over images', [tiles], names, palette))
