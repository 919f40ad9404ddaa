"""Paints the sky, the ground and the skyline."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import SUPERSAMPLE, Canvas
from .domains import Domain

FAR = 90.0
NEAR = 0.8


def jitter(rng: np.random.Generator, color, amount: float = 12) -> np.ndarray:
    """Draw a random color near ``color``."""
    return np.asarray(color, dtype=np.float64) + rng.normal(0, amount) + rng.normal(0, 4, 3)


def paint_sky(canvas: Canvas, rng: np.random.Generator, domain: Domain) -> None:
    """Paint a gradient from zenith to horizon with clouds or, at night, a glow over the town."""
    height, width = canvas.image.shape[:2]
    horizon = int((canvas.camera.horizon + 1.5) * SUPERSAMPLE)
    ramp = np.linspace(0, 1, horizon)[:, None] ** 1.2
    top, low = (np.asarray(c, dtype=np.float64) for c in domain.sky)
    tint = np.asarray(canvas.light.tint)
    if canvas.light.dark > 0.5:
        tint = tint * (0.85 if canvas.light.dark < 1 else 0.5)
    colors = ((1 - ramp) * top + ramp * low) * tint
    low_seen = 0.5 * colors + 0.5 * np.asarray(canvas.light.fog)
    colors = (1 - ramp) * colors + ramp * low_seen
    sky = np.repeat(colors[:, None], width, axis=1)
    clouds = np.zeros((horizon, width), dtype=np.float32)
    for _ in range(rng.integers(2, 8)):
        x, y = rng.uniform(0, width), rng.uniform(0, horizon * 0.7)
        for _ in range(6):
            center = (int(x + rng.normal(0, width * 0.07)), int(y + rng.normal(0, 8)))
            axes = (int(rng.uniform(0.03, 0.12) * width), int(rng.uniform(3, 12)))
            cv2.ellipse(clouds, center, axes, 0, 0, 360, float(rng.uniform(0.2, 0.5)), -1)
    clouds = cv2.GaussianBlur(clouds, (0, 0), 7)[..., None]
    white = np.asarray((246.0, 246.0, 248.0)) * tint * (1 - 0.4 * canvas.light.dark)
    sky = sky * (1 - clouds) + white * clouds
    with canvas.object('sky'):
        canvas.fill(np.array([[0, 0], [width, 0], [width, horizon], [0, horizon]]), low)
        canvas.image[:horizon] = np.clip(sky, 0, 255).astype(np.uint8)


def _strip(left: float, right: float, y: float = 0.0) -> np.ndarray:
    """Return the ground between two X, from below the camera to the horizon, as world points."""
    depths = np.geomspace(NEAR, FAR * 4, 24)
    sides = [
        np.stack([np.full_like(depths, x), np.full_like(depths, y), depths], axis=1)
        for x in (left, right)
    ]
    return np.concatenate([sides[0], sides[1][::-1]])


def _speckle(canvas: Canvas, rng: np.random.Generator, rough: float) -> None:
    """Add grainy texture to the object that is being painted; a grain has ``rough`` pixels."""
    x, y, w, h = cv2.boundingRect(canvas.stencil)
    coarse = (max(1, int(h / rough)), max(1, int(w / rough)))
    grain = cv2.resize(rng.normal(128, 7, coarse), (w, h), interpolation=cv2.INTER_LINEAR)
    patch = canvas.image[y : y + h, x : x + w]
    # The offset of 128 keeps the noise positive while the sum saturates in uint8.
    grain = cv2.merge([np.clip(grain, 0, 255).astype(np.uint8)] * 3)
    brighter, darker = cv2.subtract(grain, 128), cv2.subtract(128, grain)
    textured = cv2.subtract(cv2.add(patch, brighter), darker)
    cv2.copyTo(textured, canvas.stencil[y : y + h, x : x + w], patch)


def paint_ground(
    canvas: Canvas,
    rng: np.random.Generator,
    domain: Domain,
    road: float,
    sidewalk: float,
    paved: tuple[int, ...],
) -> None:
    """Paint terrain, sidewalks with curbs, and the road with its markings.

    Args:
        canvas: Canvas to paint on.
        rng: Random generator.
        domain: Domain that gives the colors.
        road: Half the width of the road in meters.
        sidewalk: X of the outer edge of the sidewalks in meters.
        paved: Sides with a sidewalk, -1 left and 1 right; other sides have a grassy shoulder.
    """
    height, width = canvas.image.shape[:2]
    horizon = int(canvas.camera.horizon * SUPERSAMPLE)
    with canvas.object('terrain'):
        corners = [[0, horizon], [width, horizon], [width, height], [0, height]]
        canvas.fill(np.array(corners), domain.soil, depth=15)
        for depth in np.geomspace(45, 3, 14):
            xs = rng.uniform(road, sidewalk + 3 + 0.6 * depth, 14) * rng.choice((-1, 1), 14)
            for x in xs:
                tuft = (0.06 * depth + 0.3, 0.08)
                canvas.disc((x, 0.0, depth), tuft, jitter(rng, domain.grass, 14), solid=False)
    for side in paved:
        with canvas.object('sidewalk'):
            outline = _strip(side * road, side * sidewalk, 0.1)
            canvas.quad(outline, domain.paving, depth=12)
            joint = np.asarray(domain.paving) * 0.8
            for z in np.concatenate([np.arange(2, 14, 1.0), np.arange(14, 40, 3.0)]):
                canvas.stroke(
                    [[side * road, 0.1, z], [side * sidewalk, 0.1, z]], 0.05, joint, solid=False
                )
            middle = side * (road + sidewalk) / 2
            canvas.stroke([[middle, 0.1, z] for z in (2, 5, 10, 20, 40)], 0.05, joint, solid=False)
            _speckle(canvas, rng, 1.5)
        with canvas.object('curb'):
            color = np.asarray((206, 200, 194))
            canvas.quad(_strip(side * road, side * (road + 0.22), 0.1), color, depth=12)
    with canvas.object('road'):
        canvas.quad(_strip(-road, road), domain.asphalt, depth=12)
        _speckle(canvas, rng, 2.0)
        for _ in range(rng.integers(0, 3)):
            x, z = rng.uniform(-road, road) * 0.7, rng.uniform(4, 18)
            patch = np.asarray(domain.asphalt) * rng.uniform(0.8, 0.92)
            w, d = rng.uniform(0.5, 1.2), rng.uniform(1, 4)
            corners = [[x - w, 0, z], [x + w, 0, z], [x + w, 0, z + d], [x - w, 0, z + d]]
            canvas.quad(corners, patch, solid=False)
    paint = np.asarray((226, 226, 220)) if rng.random() < 0.8 else np.asarray((228, 196, 90))
    for z in np.arange(rng.uniform(1.5, 3.5), 60, 5.0):
        with canvas.object('lane marking'):
            corners = [[-0.09, 0, z], [0.09, 0, z], [0.09, 0, z + 2.4], [-0.09, 0, z + 2.4]]
            canvas.quad(corners, paint)
    for side in (-1, 1):
        with canvas.object('lane marking'):
            x = side * (road - 0.35)
            canvas.quad(_strip(x - 0.07, x + 0.07), paint, depth=15)
    if rng.random() < 0.25:
        z = rng.uniform(9, 16)
        for x in np.arange(-road + 0.6, road - 0.6, 1.0):
            with canvas.object('crosswalk'):
                corners = [[x, 0, z], [x + 0.5, 0, z], [x + 0.5, 0, z + 3], [x, 0, z + 3]]
                canvas.quad(corners, paint)


def paint_backdrop(canvas: Canvas, rng: np.random.Generator, domain: Domain) -> None:
    """Paint a far skyline and a line of trees where the street meets the horizon."""
    width = canvas.image.shape[1]
    base = (canvas.camera.horizon + 1) * SUPERSAMPLE
    x = -10.0
    while x < width:
        step = rng.uniform(0.04, 0.12) * width
        top = base - rng.uniform(0.02, 0.14) * canvas.image.shape[0]
        if rng.random() < 0.6:
            with canvas.object('building'):
                corners = np.array([[x, base], [x, top], [x + step, top], [x + step, base]])
                canvas.fill(corners, jitter(rng, domain.plaster[0]), depth=90)
        x += step
    xs = np.linspace(-20, width + 20, 40)
    bumps = base - (0.02 + 0.05 * rng.random(len(xs))) * canvas.image.shape[0]
    line = np.concatenate([np.stack([xs, bumps], 1), [[width + 20, base], [-20, base]]])
    with canvas.object('vegetation'):
        canvas.fill(line, domain.leaves, depth=60)
