"""Paints cars, trucks, buses, trams and autorickshaws as boxes with two visible faces."""

from __future__ import annotations

import numpy as np

from .actors import DARK, GLASS, TIRE, pick, shadow
from .canvas import Canvas

TAIL, HEAD = (244, 36, 30), (255, 248, 214)


class Box:
    """The box of a vehicle on the ground.

    Args:
        canvas: Canvas to paint on.
        x: X of the middle in meters.
        z: Z of the nearest face in meters.
        width: Size along X in meters.
        length: Size along Z in meters.
        oncoming: Whether the front is visible.
    """

    def __init__(
        self, canvas: Canvas, x: float, z: float, width: float, length: float, oncoming: bool
    ) -> None:
        self.canvas, self.x, self.z = canvas, x, z
        self.width, self.length, self.oncoming = width, length, oncoming
        shadow(canvas, x, z + length / 2, width * 0.62, length * 0.56)

    @property
    def visible_side(self) -> float | None:
        """The X of the side that the camera sees; None if it looks straight at the back."""
        eye = self.canvas.camera.offset - self.canvas.camera.bend * self.z**2
        edge = self.width / 2
        if abs(self.x - eye) <= edge * 1.02:
            return None
        return self.x - edge if self.x > eye else self.x + edge

    def side(self, points, color, inset: float = 0.0, **options) -> None:
        """Paint a polygon on the visible side: (fraction from near to far end, meters up)."""
        x = self.visible_side
        if x is None:
            return
        x = x + inset * (1 if self.x > x else -1)
        world = []
        for along, up in points:
            # The nose of a car is its far end if it drives away, and its near end if it comes.
            along = 1 - along if self.oncoming else along
            world.append([x, up, self.z + along * self.length])
        self.canvas.quad(world, color, **options)

    def face(self, points, color, **options) -> None:
        """Paint a polygon on the near face: (fraction of the width from the middle, meters up)."""
        world = [[self.x + a * self.width, up, self.z] for a, up in points]
        self.canvas.quad(world, color, **options)

    def roof(self, y: float, near: float, far: float, inset: float, color) -> None:
        """Paint the top, which is visible only from above."""
        a, b = self.x - self.width / 2 + inset, self.x + self.width / 2 - inset
        z0, z1 = self.z + near * self.length, self.z + far * self.length
        self.canvas.quad([[a, y, z0], [b, y, z0], [b, y, z1], [a, y, z1]], color)

    def wheels(self, fractions, radius: float) -> None:
        """Paint wheels on the visible side and under the near face."""
        for sign in (-1, 1):
            tire = [(sign * 0.5, 0), (sign * 0.34, 0), (sign * 0.34, radius), (sign * 0.5, radius)]
            self.face(tire, TIRE)
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for along in fractions:
            for scale, color in ((1.0, TIRE), (0.55, (150, 150, 154))):
                xs = along + scale * radius * np.cos(angles) / self.length
                self.side(zip(xs, radius + scale * radius * np.sin(angles)), color)

    def lamps(self, offset: float, y: float, size: float) -> None:
        """Paint two lamps on the near face, red at the back and white at the front."""
        color = HEAD if self.oncoming else TAIL
        for sign in (-1, 1):
            center = (self.x + sign * offset * self.width, y, self.z)
            self.canvas.disc(center, (size, size * 0.7), color, emissive=True, solid=False)

    def shine(self, offset: float, y: float) -> None:
        """Paint the glow of the lamps at night."""
        if self.canvas.light.dark <= 0.5:
            return
        color = HEAD if self.oncoming else TAIL
        for sign in (-1, 1):
            center = (self.x + sign * offset * self.width, y, self.z)
            self.canvas.glow(center, 0.9, color, 0.7)


def rect(a: float, b: float, y0: float, y1: float) -> list[tuple[float, float]]:
    """Return the corners of a rectangle."""
    return [(a, y0), (b, y0), (b, y1), (a, y1)]


def paint_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """Paint a hatchback or a sedan."""
    paints = ((226, 228, 230), (150, 156, 164), (60, 64, 72), (176, 30, 34), (36, 66, 130))
    color = pick(rng, paints)
    tall, length = rng.uniform(1.42, 1.6), rng.uniform(3.9, 4.5)
    box = Box(canvas, x, z, 1.8, length, oncoming)
    with canvas.object('car'):
        box.roof(0.92, 0.02, 0.98, 0.0, color * 0.95)
        box.roof(tall, 0.22, 0.6, 0.2, color * 1.08)
        body = [(0, 0.3), (1, 0.3), (1, 0.72), (0.72, 0.92), (0.06, 0.95), (0, 0.86)]
        box.side(body, color * 0.8)
        box.side([(0.06, 0.92), (0.2, tall), (0.58, tall), (0.76, 0.92)], color * 0.8, inset=0.1)
        glass = [(0.12, 0.95), (0.23, tall - 0.1), (0.56, tall - 0.1), (0.7, 0.95)]
        box.side(glass, GLASS, inset=0.08)
        box.side(rect(0.38, 0.41, 0.92, tall - 0.08), color * 0.8, inset=0.06)
        box.wheels((0.18, 0.8), 0.33)
        box.face(rect(-0.5, 0.5, 0.26, 0.92), color)
        box.face([(-0.47, 0.9), (0.47, 0.9), (0.38, tall), (-0.38, tall)], color * 0.95)
        box.face([(-0.41, 0.95), (0.41, 0.95), (0.34, tall - 0.08), (-0.34, tall - 0.08)], GLASS)
        box.face(rect(-0.48, 0.48, 0.26, 0.42), color * 0.5, solid=False)
        box.face(rect(-0.16, 0.16, 0.48, 0.62), (236, 236, 226), solid=False)
        box.lamps(0.38, 0.72, 0.17)
    box.shine(0.38, 0.72)


def paint_truck(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool
) -> None:
    """Paint a truck: a cab and a tall ribbed cargo box."""
    tarp = pick(rng, ((238, 238, 240), (232, 226, 214)))
    band = pick(rng, ((230, 120, 20), (240, 140, 40)))
    cab = pick(rng, ((230, 120, 20), (220, 90, 20)))
    box = Box(canvas, x, z, 2.4, rng.uniform(6.5, 8.5), oncoming)
    top = rng.uniform(3.2, 3.7)
    with canvas.object('truck'):
        box.side(rect(0.0, 1.0, 0.5, 0.95), DARK)
        box.side(rect(0.0, 0.72, 0.95, top), tarp * 0.85)
        box.side(rect(0.0, 0.72, 1.7, 2.4), band * 0.85, solid=False)
        for along in np.arange(0.06, 0.72, 0.09):
            box.side(rect(along, along + 0.015, 0.95, top), tarp * 0.6, solid=False)
        box.side([(0.76, 0.6), (1, 0.6), (1, 1.8), (0.95, 2.7), (0.76, 2.7)], cab)
        box.side([(0.82, 1.7), (0.97, 1.7), (0.93, 2.5), (0.82, 2.5)], GLASS, solid=False)
        box.wheels((0.12, 0.26, 0.86), 0.5)
        if oncoming:
            box.face(rect(-0.5, 0.5, 1.0, top), tarp * 0.7)
            box.face(rect(-0.5, 0.5, 0.4, 2.7), cab)
            box.face(rect(-0.43, 0.43, 1.6, 2.45), GLASS, solid=False)
            box.face(rect(-0.3, 0.3, 0.7, 1.3), cab * 0.55, solid=False)
        else:
            box.face(rect(-0.5, 0.5, 0.5, top), tarp)
            box.face(rect(-0.46, 0.46, 1.7, 2.4), band, solid=False)
            for a in (-0.46, -0.02, 0.42):
                box.face(rect(a, a + 0.04, 0.95, top - 0.1), tarp * 0.55, solid=False)
            box.face(rect(-0.5, 0.5, 0.5, 0.85), DARK, solid=False)
        box.lamps(0.4, 0.72, 0.2)
    box.shine(0.4, 0.72)


def paint_bus(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """Paint a city bus: one bright box with a row of windows."""
    paint = pick(rng, ((246, 196, 20), (250, 208, 40)))
    stripe = pick(rng, ((190, 30, 40), (160, 20, 30)))
    box = Box(canvas, x, z, 2.5, rng.uniform(8.5, 10.5), oncoming)
    top = 3.15
    with canvas.object('bus'):
        box.side(rect(0, 1, 0.35, top), paint * 0.85)
        box.side(rect(0, 1, 0.5, 0.85), stripe * 0.85, solid=False)
        for along in np.arange(0.04, 0.92, 0.115):
            box.side(rect(along, along + 0.09, 1.35, 2.5), GLASS, solid=False)
        box.wheels((0.2, 0.78), 0.48)
        box.face(rect(-0.5, 0.5, 0.35, top), paint)
        box.face(rect(-0.5, 0.5, 0.5, 0.85), stripe, solid=False)
        low = 1.1 if oncoming else 1.6
        box.face(rect(-0.42, 0.42, low, 2.5), GLASS, solid=False)
        box.face(rect(-0.3, 0.3, 2.62, 2.98), (30, 30, 30), solid=False)
        box.face(rect(-0.24, 0.24, 2.7, 2.9), (255, 150, 40), emissive=True, solid=False)
        box.lamps(0.4, 1.0, 0.2)
    box.shine(0.4, 1.0)


def paint_train(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool
) -> None:
    """Paint a tram with its pantograph, on rails in the road."""
    paint = pick(rng, ((24, 150, 130), (20, 164, 110)))
    cream = np.asarray((236, 240, 226))
    length = rng.uniform(14, 20)
    for rail in (-0.7, 0.7):
        points = [[x + rail, 0, depth] for depth in np.geomspace(1.0, 60, 16)]
        canvas.stroke(points[:6], 0.08, (66, 60, 60), solid=False)
        canvas.stroke(points[5:], 0.1, (66, 60, 60), solid=False)
    box = Box(canvas, x, z, 2.5, length, oncoming)
    top = 3.5
    with canvas.object('train'):
        middle = z + length * 0.3
        arm = [[x - 0.7, top, middle], [x, top + 0.8, middle], [x + 0.7, top + 0.8, middle]]
        canvas.stroke(arm, 0.12, DARK)
        box.side(rect(0, 1, 0.25, top), paint * 0.85)
        box.side(rect(0, 1, 1.3, 2.75), cream * 0.9, solid=False)
        for along in np.arange(0.03, 0.94, 0.075):
            box.side(rect(along, along + 0.055, 1.5, 2.6), GLASS, solid=False)
        front = [(-0.5, 0.25), (0.5, 0.25), (0.5, 2.9), (0.4, top), (-0.4, top), (-0.5, 2.9)]
        box.face(front, paint)
        box.face([(-0.44, 1.3), (0.44, 1.3), (0.38, 2.75), (-0.38, 2.75)], cream, solid=False)
        box.face([(-0.38, 1.45), (0.38, 1.45), (0.33, 2.6), (-0.33, 2.6)], GLASS, solid=False)
        box.face(rect(-0.5, 0.5, 0.25, 0.5), DARK, solid=False)
        box.face(rect(-0.18, 0.18, 2.9, 3.2), (255, 170, 60), emissive=True, solid=False)
        box.lamps(0.36, 0.85, 0.18)
    box.shine(0.36, 0.85)


def paint_autorickshaw(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool
) -> None:
    """Paint a three-wheeler, green below and with a yellow hood above."""
    box = Box(canvas, x, z, 1.35, 2.6, oncoming)
    with canvas.object('autorickshaw'):
        box.side([(0, 0.3), (1, 0.3), (1, 0.9), (0, 0.95)], (30, 110, 60))
        box.side([(0, 0.95), (0.1, 1.75), (0.75, 1.75), (1, 0.9)], (220, 190, 40))
        box.side(rect(0.3, 0.65, 0.7, 1.5), DARK, solid=False)
        box.wheels((0.2, 0.85), 0.25)
        box.face(rect(-0.5, 0.5, 0.25, 0.95), (36, 130, 70))
        box.face([(-0.5, 0.95), (0.5, 0.95), (0.42, 1.75), (-0.42, 1.75)], (236, 206, 50))
        box.face(rect(-0.32, 0.32, 1.05, 1.5), GLASS, solid=False)
        box.lamps(0.4, 0.7, 0.12)
