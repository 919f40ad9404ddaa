"""Draws a sheet per image with input, label, prediction, errors and each alignment module.

The layout follows the qualitative figures of SFNet (https://arxiv.org/abs/2207.04415): flows in the
color code of optical flow, features before and after the warp, errors.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sfnet_mm.utils.tooling import atomic_file

from .alignment_recorder import Alignment
from .flow import colour_key, draw_arrows, flow_length, flow_to_pixels, flow_to_rgb

Tile = tuple[str, np.ndarray]

_INK, _GRAY, _PAPER = (32, 32, 36), (120, 120, 128), (255, 255, 255)
_MARGIN, _GAP, _CAPTION, _KEY = 20, 12, 26, 60


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # This font is part of matplotlib, which the hosts require.
    from matplotlib import font_manager

    weight = 'bold' if bold else 'regular'
    path = font_manager.findfont(font_manager.FontProperties('DejaVu Sans', weight=weight))
    return ImageFont.truetype(path, size)


def color_labels(label: np.ndarray, palette: Sequence, background: int = 0) -> np.ndarray:
    """Color class indices: (H, W) to (H, W, 3) uint8.

    Args:
        label: Class indices (H, W); an index outside the palette is drawn in gray.
        palette: One RGB triple per class.
        background: Gray level of indices outside the palette.
    """
    colors = np.full((len(palette) + 1, 3), background, np.uint8)
    colors[:-1] = np.asarray(palette, np.uint8).reshape(-1, 3)
    label = np.asarray(label).astype(np.int64)
    outside = (label < 0) | (label >= len(palette))
    return colors[np.where(outside, len(palette), label)]


def error_map(
    prediction: np.ndarray, label: np.ndarray, image: np.ndarray, ignore_index: int = 255
) -> np.ndarray:
    """Draw wrong pixels in red on the faded image, and ignored pixels in gray.

    Args:
        prediction: (H, W) class indices.
        label: (H, W) class indices.
        image: (H, W, 3) uint8, RGB.
        ignore_index: Label of the pixels that do not count.

    Raises:
        ValueError: Prediction and label differ in size.
    """
    if prediction.shape != label.shape:
        raise ValueError(f'the prediction is {prediction.shape} and the label {label.shape} pixels')
    gray = _fit(image, label.shape[::-1]).mean(axis=-1, keepdims=True)
    out = np.broadcast_to(gray * 0.45 + 130, (*label.shape, 3)).astype(np.uint8)
    out[label == ignore_index] = 96
    out[(label != ignore_index) & (prediction != label)] = (214, 39, 40)
    return out


def feature_maps(*means: Tensor) -> list[np.ndarray]:
    """Draw channel means (1, H, W) as heat maps (H, W, 3) uint8 with a common scale."""
    maps = [m.numpy()[0] for m in means]
    values = np.concatenate([m.ravel() for m in maps])
    low, high = np.percentile(values[np.isfinite(values)], (1, 99))
    scaled = [np.clip((np.nan_to_num(m) - low) / max(high - low, 1e-6), 0, 1) for m in maps]
    return [heat_map(m) for m in scaled]


def heat_map(x: np.ndarray) -> np.ndarray:
    """Draw values (H, W) in [0, 1] in viridis colors, (H, W, 3) uint8, RGB."""
    bgr = cv2.applyColorMap(np.rint(x * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def alignment_rows(
    alignments: Sequence[Alignment], index: int, tile_width: int, image_size: tuple[int, int]
) -> list[list[Tile]]:
    """Draw the tiles of every alignment module: flows, gate, features before and after the warp.

    FAM fills one row, GD-FAM two.

    Args:
        alignments: Records of ``AlignmentRecorder``.
        index: Index of the image in the batch.
        tile_width: Width of a tile in pixels.
        image_size: (height, width) of the network input, which tells the stride of each module.
    """
    rows = []
    for a in alignments:
        flow = a.flow[index].numpy()
        halves = [('coarse', flow[:2], a.coarse, a.warped_coarse())]
        if len(flow) == 4:
            halves.append(('fine', flow[2:], a.fine, a.warped_fine()))
        pixels = {name: flow_to_pixels(half) for name, half, *_ in halves}
        longest = max(flow_length(p) for p in pixels.values())
        stride = max(1, round(image_size[1] / flow.shape[-1]))
        row: list[Tile] = []
        for name, *_ in halves:
            rgb = flow_to_rgb(pixels[name], longest)
            # The map is enlarged first, so that arrows are equally thick on every tile.
            rgb = _fit(rgb, (tile_width, round(tile_width * rgb.shape[0] / rgb.shape[1])))
            rgb = draw_arrows(rgb, pixels[name], longest, step=max(12, tile_width // 20))
            what = 'flow' if len(halves) == 1 else f'flow of the {name} map'
            row.append((f'{a.kind} {what}, 1/{stride}, up to {longest:.1f} px', rgb))
        if a.gate is not None:
            row.append(('gate: share of the coarse map', heat_map(a.gate[index, 0].numpy())))
        if len(halves) > 1:
            rows.append(row)
            row = []
        for name, _, before, after in halves:
            tiles = feature_maps(before[index], after[index])
            row.append((f'{name} features before the warp', tiles[0]))
            row.append((f'{name} features after the warp', tiles[1]))
        rows.append(row)
    return rows


def image_row(
    image: np.ndarray,
    label: np.ndarray | None,
    prediction: np.ndarray | None,
    palette: Sequence,
    ignore_index: int = 255,
) -> list[Tile]:
    """Draw the tiles of an image: the image, its label, the prediction and its errors.

    ``image`` is (H, W, 3) uint8, RGB; ``label`` and ``prediction`` are class indices (H, W), where
    ``ignore_index`` is ignored; ``palette`` has one RGB triple per class.
    """
    row: list[Tile] = [('input', image)]
    if label is not None:
        row.append(('label', color_labels(label, palette)))
    if prediction is not None:
        row.append(('prediction', color_labels(prediction, palette)))
    if label is not None and prediction is not None:
        valid = label != ignore_index
        wrong = float((prediction != label)[valid].mean()) if valid.any() else 0.0
        errors = error_map(prediction, label, image, ignore_index)
        row.append((f'errors: {wrong:.1%} of the pixels', errors))
    return row


def draw_sheet(
    title: str,
    rows: Sequence[Sequence[Tile]],
    classes: Sequence[str] = (),
    palette: Sequence = (),
    tile_width: int = 420,
    columns: int = 4,
) -> np.ndarray:
    """Lay out captioned tiles in rows, with the legend of class, flow and gate colors below.

    Args:
        title: Text on top.
        rows: Rows of (caption, (H, W, 3) uint8 picture); rows longer than ``columns`` are wrapped.
            All tiles take the aspect ratio of the first one.
        classes: Names of the classes in the legend.
        palette: One RGB triple per class.
        tile_width: Width of a tile in pixels.
        columns: Largest number of tiles side by side.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: There are no tiles.
    """
    broken = [row[i : i + columns] for row in rows for i in range(0, len(row), columns)]
    if not broken:
        raise ValueError('draw_sheet was given no tile to draw')
    first = broken[0][0][1]
    tile = (tile_width, max(16, round(tile_width * first.shape[0] / first.shape[1])))
    shown = max(len(row) for row in broken)
    width = 2 * _MARGIN + shown * tile_width + (shown - 1) * _GAP
    flows = any('flow' in caption for row in rows for caption, _ in row)
    key = _draw_legend(width - 2 * _MARGIN, classes, palette, flows)
    top = _MARGIN + 34
    height = top + len(broken) * (tile[1] + _CAPTION + _GAP) + key.height + _MARGIN
    sheet = Image.new('RGB', (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, _INK, _font(18, bold=True), anchor='lt')
    y = top
    for row in broken:
        for i, (caption, picture) in enumerate(row):
            x = _MARGIN + i * (tile_width + _GAP)
            sheet.paste(Image.fromarray(_fit(picture, tile)), (x, y))
            draw.rectangle((x - 1, y - 1, x + tile[0], y + tile[1]), outline=(200, 200, 205))
            draw.text((x, y + tile[1] + 6), caption, _INK, _font(13), anchor='lt')
        y += tile[1] + _CAPTION + _GAP
    sheet.paste(key, (_MARGIN, y))
    return np.asarray(sheet)


def save_png(path: str, image: np.ndarray) -> str:
    """Write a PNG, RGB (H, W, 3) or a mask (H, W), atomically, and return its path."""
    with atomic_file(path) as temporary:
        Image.fromarray(image).save(temporary, format='PNG')
    return path


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (width, height); enlarged pixels stay squares, which show the grid of the model."""
    if picture.shape[1::-1] == tuple(size):
        return picture
    shrinks = picture.shape[1] > size[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return cv2.resize(np.ascontiguousarray(picture), tuple(size), interpolation=method)


def _draw_legend(width: int, classes: Sequence[str], palette: Sequence, flows: bool) -> Image.Image:
    """Draw the legend: the color wheel of the flow, the scale of the gate and the class colors."""
    font = _font(13)
    left = 400 if flows else 0
    swatches, x, y = [], left, 4
    for name, color in zip(classes, palette):
        step = 30 + int(font.getlength(name)) + 16
        if x + step > width and x > left:
            x, y = left, y + 24
        swatches.append((x, y, name, tuple(int(c) for c in color)))
        x += step
    key = Image.new('RGB', (width, max(_KEY + 8 if flows else 0, y + 24)), _PAPER)
    draw = ImageDraw.Draw(key)
    for x, y, name, color in swatches:
        draw.rectangle((x, y, x + 22, y + 14), fill=color, outline=_GRAY)
        draw.text((x + 28, y + 7), name, _INK, font, anchor='lm')
    if flows:
        key.paste(Image.fromarray(colour_key(_KEY)), (0, 2))
        draw.text((_KEY + 10, 12), 'flow: hue is direction,', _INK, font, anchor='lm')
        draw.text((_KEY + 10, 32), 'full color is the length', _INK, font, anchor='lm')
        draw.text((_KEY + 10, 52), 'printed under the tile', _INK, font, anchor='lm')
        ramp = heat_map(np.tile(np.linspace(0, 1, 90), (14, 1)))
        key.paste(Image.fromarray(ramp), (268, 4))
        draw.text((268, 32), '0', _INK, font, anchor='lm')
        draw.text((358, 32), '1', _INK, font, anchor='rm')
        draw.text((313, 32), 'gate', _INK, font, anchor='mm')
    return key
