"""Draws label maps from polygons in the JSON format of Cityscapes and India Driving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

MAX_SIDE = 32768


def draw_polygons(
    objects: Sequence[Mapping[str, Any]],
    size: tuple[int, int],
    name_to_id: Mapping[str, int],
    background: int,
) -> np.ndarray:
    """Draw labeled polygons into an id map in their order; later ones cover earlier ones.

    Args:
        objects: Each is ``dict(label=str, polygon=[[x, y], ...])``, in pixels whose centers are
            at integers; ``deleted`` marks an object that annotators removed. A name that ends
            in ``group`` and is not in the table counts as its singular. Polygons with fewer than
            three points cover nothing and are skipped.
        size: Height and width of the map in pixels.
        name_to_id: Id of every allowed label.
        background: Id of the pixels that no polygon covers.

    Returns:
        Array (H, W), uint8.

    Raises:
        ValueError: A label is not in ``name_to_id``, a polygon is not a list of pairs of finite
            numbers, or the size is impossible.
    """
    height, width = size
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError(f'impossible image size {height}x{width}')
    canvas = Image.new('L', (width, height), background)
    draw = ImageDraw.Draw(canvas)
    for i, item in enumerate(objects):
        if item.get('deleted'):
            continue
        label = item.get('label')
        if label not in name_to_id and isinstance(label, str) and label.endswith('group'):
            label = label[: -len('group')]
        if label not in name_to_id:
            raise ValueError(f'object {i} has the unknown label {item.get("label")!r}')
        try:
            points = np.asarray(item['polygon'], dtype=np.float64).reshape(-1, 2)
        except (KeyError, TypeError, ValueError):
            raise ValueError(f'object {i} ({label}) has no polygon of [x, y] pairs') from None
        if not np.isfinite(points).all():
            raise ValueError(f'object {i} ({label}) has a polygon point that is not finite')
        if len(points) >= 3:
            draw.polygon([tuple(point) for point in points.tolist()], fill=name_to_id[label])
    return np.asarray(canvas)
