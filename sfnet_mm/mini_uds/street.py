"""What stands still: sky, ground, houses, walls, fences, trees."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import SUPERSAMPLE, Canvas
from .domains import Domain

FAR = 90.0
NEAR = 0.8


def jitter(rng: np.random.Generator, color, amount: float = 12) -> np.ndarray:
    """A color near ``color``."""
    return np.asarray(color, dtype=np.float64) + rng.normal(0, amount) + rng.normal(0, 4, 3)


def paint_sky(canvas: Canvas, rng: np.random.Generator, domain: Domain) -> None:
    """Gradient from zenith to horizon, with soft clouds or, at night, a glow over the town."""
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
    """Ground between two X from the camera's feet to the horizon, as world points."""
    depths = np.geomspace(NEAR, FAR * 4, 24)
    sides = [
        np.stack([np.full_like(depths, x), np.full_like(depths, y), depths], axis=1)
        for x in (left, right)
    ]
    return np.concatenate([sides[0], sides[1][::-1]])


def _speckle(
    canvas: Canvas, rng: np.random.Generator, amount: float, rough: float, where: np.ndarray
) -> None:
    """Add grainy texture to the pixels under ``where``."""
    x, y, w, h = cv2.boundingRect(where)
    coarse = (max(1, int(h / rough)), max(1, int(w / rough)))
    grain = cv2.resize(rng.normal(128, amount, coarse), (w, h), interpolation=cv2.INTER_LINEAR)
    patch = canvas.image[y : y + h, x : x + w]
    # The offset of 128 keeps the noise positive while the sum saturates in uint8.
    grain = cv2.merge([np.clip(grain, 0, 255).astype(np.uint8)] * 3)
    brighter, darker = cv2.subtract(grain, 128), cv2.subtract(128, grain)
    textured = cv2.subtract(cv2.add(patch, brighter), darker)
    cv2.copyTo(textured, where[y : y + h, x : x + w], patch)


def paint_ground(
    canvas: Canvas,
    rng: np.random.Generator,
    domain: Domain,
    road: float,
    sidewalk: float,
    paved: tuple[int, ...],
) -> None:
    """Terrain, sidewalks with curbs, and the road with its markings.

    Args:
        canvas: Where to paint.
        rng: Source of randomness.
        domain: Colors.
        road: Half the width of the road, meters.
        sidewalk: X of the outer edge of the sidewalks, meters.
        paved: Sides with a sidewalk, -1 left and 1 right; the other has a grassy shoulder.
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
            where = canvas.stencil.copy()
            joint = np.asarray(domain.paving) * 0.8
            for z in np.concatenate([np.arange(2, 14, 1.0), np.arange(14, 40, 3.0)]):
                canvas.stroke(
                    [[side * road, 0.1, z], [side * sidewalk, 0.1, z]], 0.05, joint, solid=False
                )
            middle = side * (road + sidewalk) / 2
            canvas.stroke([[middle, 0.1, z] for z in (2, 5, 10, 20, 40)], 0.05, joint, solid=False)
            _speckle(canvas, rng, 7, 1.5, where)
        with canvas.object('curb'):
            color = np.asarray((206, 200, 194))
            canvas.quad(_strip(side * road, side * (road + 0.22), 0.1), color, depth=12)
    with canvas.object('road'):
        canvas.quad(_strip(-road, road), domain.asphalt, depth=12)
        where = canvas.stencil.copy()
        _speckle(canvas, rng, 7, 2.0, where)
        for _ in range(rng.integers(0, 3)):
            center = (rng.uniform(-road, road) * 0.7, 0.0, rng.uniform(4, 18))
            patch = np.asarray(domain.asphalt) * rng.uniform(0.8, 0.92)
            x, _, z = center
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
    """A far skyline and a line of trees, where the street meets the horizon."""
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


class Side:
    """The plane along one edge of the street, X = ``x``; the street is toward X = 0."""

    def __init__(self, canvas: Canvas, x: float, z0: float, z1: float) -> None:
        self.canvas, self.x, self.z0, self.z1 = canvas, x, z0, z1
        self.outward = 1.0 if x > 0 else -1.0

    def along(self, z0: float, z1: float, y0: float, y1: float, color, **options) -> None:
        """A rectangle on the face along the street, split so that it bends with the road."""
        depths = (z0, z1) if z1 - z0 < 3 else np.linspace(z0, z1, int((z1 - z0) / 3) + 2)
        low = [[self.x, y0, z] for z in depths]
        high = [[self.x, y1, z] for z in reversed(depths)]
        self.canvas.quad(low + high, color, **options)

    def across(self, x0: float, x1: float, y0: float, y1: float, color, **options) -> None:
        """A rectangle on the face toward the camera; x0, x1 in meters from the street's edge."""
        a, b = self.x + self.outward * x0, self.x + self.outward * x1
        z = self.z0
        corners = [[a, y0, z], [b, y0, z], [b, y1, z], [a, y1, z]]
        self.canvas.quad(corners, color, **options)


def paint_house(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """A house along the street, with windows, a ground floor and a roof edge."""
    face = Side(canvas, x, z0, z1)
    story = 3.0
    floors = int(rng.integers(domain.floors[0], domain.floors[1] + 1))
    top = floors * story + 0.8
    plaster = jitter(rng, domain.plaster[rng.integers(len(domain.plaster))], 10)
    lit = canvas.light.dark > 0.5
    glass, warm = np.asarray((70, 84, 104)), np.asarray((250, 206, 120))
    frame = np.asarray((236, 232, 224))
    with canvas.object('building'):
        face.across(0, 9, 0, top, plaster * 0.82)
        face.along(z0, z1, 0, top, plaster)
        face.along(z0, z1, top - 0.6, top, np.asarray((140, 84, 66)), solid=False)
        face.across(0, 9, top - 0.6, top, np.asarray((118, 70, 56)), solid=False)
        face.along(z0, z1, 0, 0.7, plaster * 0.68, solid=False)
        for floor in range(floors):
            y = floor * story + 1.0
            for z in np.arange(z0 + 0.8, z1 - 1.5, 2.4):
                if floor == 0 and rng.random() < 0.3:
                    face.along(z, z + 1.2, 0, 2.3, (104, 70, 52), solid=False)
                    continue
                shine = lit and rng.random() < 0.45
                if z < 30:
                    face.along(z - 0.12, z + 1.42, y - 0.12, y + 1.62, frame, solid=False)
                face.along(
                    z, z + 1.3, y, y + 1.5, warm if shine else glass, emissive=shine, solid=False
                )
            # Further out this face is behind the next house.
            for offset in np.arange(0.8, 8, 2.4):
                shine = lit and rng.random() < 0.45
                face.across(offset - 0.1, offset + 1.4, y - 0.1, y + 1.6, frame * 0.85, solid=False)
                color = warm if shine else glass * 0.9
                face.across(offset, offset + 1.3, y, y + 1.5, color, emissive=shine, solid=False)


def paint_wall(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """A brick wall with courses, joints and a coping."""
    face = Side(canvas, x, z0, z1)
    top = rng.uniform(2.2, 3.0)
    brick = jitter(rng, (158, 82, 64), 8)
    mortar = np.asarray((206, 180, 160))
    with canvas.object('wall'):
        face.across(0, 0.4, 0, top, brick * 0.75)
        face.along(z0, z1, 0, top, brick)
        for row, y in enumerate(np.arange(0.35, top - 0.1, 0.42)):
            face.along(z0, z1, y, y + 0.07, mortar, solid=False)
            for z in np.arange(z0 + 0.4 * (row % 2), z1, 0.9):
                face.along(z, z + 0.07, y - 0.35, y, mortar, solid=False)
        face.along(z0, z1, top - 0.18, top, (214, 204, 190), solid=False)


def paint_fence(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """A picket fence: rails and pales over a dim background."""
    face = Side(canvas, x, z0, z1)
    top = rng.uniform(1.5, 2.0)
    pale = jitter(rng, (196, 178, 206), 6)
    with canvas.object('fence'):
        face.along(z0, z1, 0, top, (98, 84, 100))
        for z in np.arange(z0, z1, 0.5):
            face.along(z, min(z + 0.26, z1), 0, top, pale, solid=False)
        for y in (0.3, top - 0.35):
            face.along(z0, z1, y, y + 0.16, pale * 0.9, solid=False)
        face.across(-0.1, 0.15, 0, top + 0.1, pale)


def _foliage(
    canvas: Canvas, rng: np.random.Generator, leaves, center, spread, blobs: int, size: float
) -> None:
    """A heap of leafy blobs, dark ones first, lit ones on top; fewer where it is far."""
    blobs = blobs if center[2] < 20 else blobs // 2
    size = size if center[2] < 20 else size * 1.3
    for i in range(blobs):
        gain = 0.6 + 0.75 * i / blobs
        place = np.asarray(center) + rng.uniform(-1, 1, 3) * np.asarray(spread)
        place[1] += 0.35 * spread[1] * (i / blobs)
        place[2] = center[2]
        radius = size * rng.uniform(0.6, 1.2) * (1.1 - 0.6 * i / blobs)
        canvas.disc(place, (radius, radius * 0.8), jitter(rng, np.asarray(leaves) * gain, 8))


def paint_tree(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z: float
) -> None:
    """A tree; its trunk counts as vegetation, as in the data sets."""
    tall = rng.uniform(4.0, 7.0)
    with canvas.object('vegetation'):
        canvas.stroke([[x, 0, z], [x, tall * 0.6, z]], 0.35, (92, 66, 44))
        spread = (tall * 0.25, tall * 0.28, 0)
        _foliage(canvas, rng, domain.leaves, (x, tall * 0.75, z), spread, 26, tall * 0.17)


def paint_hedge(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """Bushes along the street."""
    tall = rng.uniform(1.2, 2.6)
    side = np.sign(x)
    with canvas.object('vegetation'):
        for z in np.arange(z1, z0, -1.2):
            spread = (0.7, 0.4 * tall, 0)
            _foliage(canvas, rng, domain.leaves, (x + side * 0.8, tall * 0.4, z), spread, 8, 0.7)
