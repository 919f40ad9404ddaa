"""Draws semantic flow as colors and arrows.

The color code is the one of optical flow: hue is direction, saturation is length (A Database and
Evaluation Methodology for Optical Flow, https://vision.middlebury.edu/flow/, figure 1). The
figures of SFNet show its semantic flow this way (https://arxiv.org/abs/2207.04415).
"""

import cv2
import numpy as np
from mmcv.visualization.optflow import make_color_wheel


def flow_to_pixels(flow: np.ndarray) -> np.ndarray:
    """Convert a flow from the unit of ``sfnet_mm.ops.flow_warp`` to pixels of its own grid.

    Args:
        flow: (2, H, W), x then y; a flow of 1 is ``(W - 1) / 2W`` (and ``(H - 1) / 2H``) pixels.

    Returns:
        (H, W, 2) float32, x then y, in pixels: the vector from each pixel to where it is sampled.

    Raises:
        ValueError: The flow has another shape.
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f'flow has shape {flow.shape}: expected (2, H, W)')
    height, width = flow.shape[1:]
    unit = np.array([(width - 1) / (2 * width), (height - 1) / (2 * height)], np.float32)
    return flow.transpose(1, 2, 0).astype(np.float32) * unit


def flow_length(flow: np.ndarray, percentile: float = 99.0) -> float:
    """Compute a percentile of the lengths of a flow as a color scale; it is at least 1e-6.

    Args:
        flow: (H, W, 2); vectors that are not finite are left out.
        percentile: Percentile of the lengths. 100 is the true maximum, which one outlier can set.
    """
    length = np.linalg.norm(flow, axis=-1)
    length = length[np.isfinite(length)]
    return max(float(np.percentile(length, percentile)) if length.size else 0.0, 1e-6)


def flow_to_rgb(flow: np.ndarray, max_length: float | None = None) -> np.ndarray:
    """Color a flow: white is zero, red points right, and full color is ``max_length``.

    ``mmcv.flow2rgb`` scales every picture by its own maximum; here the scale is an argument, so
    that the flows of several modules can be compared.

    Args:
        flow: (H, W, 2), x to the right, then y downwards, in any unit.
        max_length: Length drawn in full color; longer vectors are drawn darker. None takes
            :func:`flow_length` of the flow.

    Returns:
        (H, W, 3) uint8, RGB; vectors that are not finite are black.

    Raises:
        ValueError: The flow has another shape, or ``max_length`` is not positive.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f'flow has shape {flow.shape}: expected (H, W, 2)')
    if max_length is None:
        max_length = flow_length(flow)
    if not max_length > 0:
        raise ValueError(f'max_length is {max_length}: it must be positive')
    known = np.isfinite(flow).all(axis=-1)
    x, y = np.moveaxis(np.where(known[..., None], flow, 0).astype(np.float64) / max_length, -1, 0)
    radius = np.hypot(x, y)[..., None]
    wheel = make_color_wheel()
    position = (np.arctan2(-y, -x) / np.pi + 1) / 2 * (len(wheel) - 1)
    left = np.floor(position).astype(int)
    share = (position - left)[..., None]
    hue = (1 - share) * wheel[left] + share * wheel[(left + 1) % len(wheel)]
    color = np.where(radius <= 1, 1 - radius * (1 - hue), hue * 0.75)
    return np.rint(color * known[..., None] * 255).astype(np.uint8)


def draw_arrows(
    image: np.ndarray,
    flow: np.ndarray,
    max_length: float | None = None,
    step: int = 24,
    colour: tuple = (20, 20, 20),
) -> np.ndarray:
    """Draw a flow as arrows on a picture, one in every ``step`` by ``step`` square.

    A flow of ``max_length`` becomes an arrow of 1.3 squares, so directions and proportions are
    right, but lengths are not to scale: most semantic flow is too short to see.

    Args:
        image: (H, W, 3) uint8; the arrows are drawn on a copy.
        flow: (h, w, 2), x then y; read at the centers of the squares.
        max_length: As for :func:`flow_to_rgb`.
        step: Side of the squares in pixels of ``image``.
        colour: Color of the arrows, in the channel order of ``image``.
    """
    max_length = flow_length(flow) if max_length is None else max_length
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    for y in range(step // 2, height, step):
        for x in range(step // 2, width, step):
            vector = flow[y * flow.shape[0] // height, x * flow.shape[1] // width]
            length = float(np.linalg.norm(vector))
            # Arrows shorter than 1.5 pixels would be dots that hide the color.
            if not np.isfinite(length) or length / max_length * 1.3 * step < 1.5:
                continue
            scale = 1.3 * step * min(1.0, length / max_length) / length
            tip = (int(round(x + scale * vector[0])), int(round(y + scale * vector[1])))
            cv2.arrowedLine(canvas, (x, y), tip, colour, 1, cv2.LINE_AA, tipLength=0.35)
    return canvas


def colour_key(size: int = 64) -> np.ndarray:
    """Draw the color wheel as a legend: (size, size, 3) uint8, RGB, white around the disk."""
    axis = np.linspace(-1, 1, size)
    key = np.stack(np.meshgrid(axis, axis), axis=-1)
    rgb = flow_to_rgb(key, max_length=1.0)
    rgb[np.linalg.norm(key, axis=-1) > 1] = 255
    return rgb
