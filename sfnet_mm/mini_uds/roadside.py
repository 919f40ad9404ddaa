"""Paints houses, walls, fences, trees and hedges along the street."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .domains import Domain
from .street import jitter


class Side:
    """The plane along one edge of the street, X = ``x``; the street is toward X = 0."""

    def __init__(self, canvas: Canvas, x: float, z0: float, z1: float) -> None:
        self.canvas, self.x, self.z0, self.z1 = canvas, x, z0, z1
        self.outward = 1.0 if x > 0 else -1.0

    def along(self, z0: float, z1: float, y0: float, y1: float, color, **options) -> None:
        """Paint a rectangle on the face along the street, split so that it bends with the road."""
        depths = (z0, z1) if z1 - z0 < 3 else np.linspace(z0, z1, int((z1 - z0) / 3) + 2)
        low = [[self.x, y0, z] for z in depths]
        high = [[self.x, y1, z] for z in reversed(depths)]
        self.canvas.quad(low + high, color, **options)

    def across(self, x0: float, x1: float, y0: float, y1: float, color, **options) -> None:
        """Paint a rectangle on the face toward the camera; x0, x1 in meters from the edge."""
        a, b = self.x + self.outward * x0, self.x + self.outward * x1
        self.canvas.rectangle(a, b, y0, y1, self.z0, color, **options)


def paint_house(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """Paint a house along the street, with windows, a ground floor and a roof edge."""
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
            # Farther out, the next house hides this face.
            for offset in np.arange(0.8, 8, 2.4):
                shine = lit and rng.random() < 0.45
                face.across(offset - 0.1, offset + 1.4, y - 0.1, y + 1.6, frame * 0.85, solid=False)
                color = warm if shine else glass * 0.9
                face.across(offset, offset + 1.3, y, y + 1.5, color, emissive=shine, solid=False)


def paint_wall(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """Paint a brick wall with courses, joints and a coping."""
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
    """Paint a picket fence: rails and pales over a dim background."""
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
    """Paint blobs of leaves, dark ones first and lit ones on top; fewer in the distance."""
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
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, domain: Domain
) -> None:
    """Paint a tree; its trunk counts as vegetation, as in the data sets."""
    tall = rng.uniform(4.0, 7.0)
    with canvas.object('vegetation'):
        canvas.stroke([[x, 0, z], [x, tall * 0.6, z]], 0.35, (92, 66, 44))
        spread = (tall * 0.25, tall * 0.28, 0)
        _foliage(canvas, rng, domain.leaves, (x, tall * 0.75, z), spread, 26, tall * 0.17)


def paint_hedge(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, x: float, z0: float, z1: float
) -> None:
    """Paint bushes along the street."""
    tall = rng.uniform(1.2, 2.6)
    side = np.sign(x)
    with canvas.object('vegetation'):
        for z in np.arange(z1, z0, -1.2):
            spread = (0.7, 0.4 * tall, 0)
            _foliage(canvas, rng, domain.leaves, (x + side * 0.8, tall * 0.4, z), spread, 8, 0.7)
