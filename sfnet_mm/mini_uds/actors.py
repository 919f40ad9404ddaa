"""Paints posts, people and two-wheelers in the street."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .street import jitter

DARK = (34, 34, 38)
TIRE = (26, 26, 28)
GLASS = (52, 66, 84)


def pick(rng: np.random.Generator, colors) -> np.ndarray:
    """Choose one of the colors and vary it slightly."""
    return jitter(rng, colors[rng.integers(len(colors))], 6)


def shadow(canvas: Canvas, x: float, z: float, half: float, depth: float) -> None:
    """Darken the ground under an object; the ground keeps its label."""
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    points = np.stack([x + half * np.cos(angles), np.zeros(18), z + depth * np.sin(angles)], axis=1)
    canvas.quad(points, (44, 44, 48), solid=False)


def paint_lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a street lamp that reaches over the road."""
    tall, reach = rng.uniform(5.5, 7.0), -np.sign(x) * rng.uniform(1.2, 2.0)
    metal = jitter(rng, (150, 152, 150), 8)
    with canvas.object('pole'):
        canvas.stroke([[x, 0, z], [x, tall, z]], 0.26, metal)
        canvas.stroke([[x, tall, z], [x + reach, tall + 0.3, z]], 0.18, metal)
        lit = canvas.light.dark > 0.5
        canvas.disc((x + reach, tall + 0.2, z), (0.5, 0.2), (255, 240, 190), emissive=lit)
    if canvas.light.dark > 0.5:
        canvas.glow((x + reach, tall + 0.2, z), 3.0, (255, 220, 150), 0.7)


def paint_traffic_light(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, over_road: bool
) -> None:
    """Paint a signal head on its pole, or on an arm over the road."""
    head, foot = (x, 3.4), x
    with canvas.object('pole'):
        if over_road:
            canvas.stroke([[foot, 0, z], [foot, 5.2, z]], 0.26, (142, 144, 142))
            head = (x - np.sign(x) * 3.0, 4.4)
            canvas.stroke([[foot, 5.2, z], [head[0], 5.2, z]], 0.2, (142, 144, 142))
        else:
            canvas.stroke([[foot, 0, z], [foot, 3.4, z]], 0.24, (142, 144, 142))
    on = int(rng.integers(3))
    lamps = ((240, 50, 40), (250, 180, 40), (60, 230, 110))
    with canvas.object('traffic light'):
        u, v, w, h = head[0], head[1], 0.42, 0.95
        canvas.rectangle(u - w, u + w, v - h, v + h, z, (224, 178, 46))
        w, h = w * 0.78, h * 0.9
        canvas.rectangle(u - w, u + w, v - h, v + h, z, (24, 26, 24), solid=False)
        for i, lamp in enumerate(lamps):
            color = lamp if i == on else np.asarray(lamp) * 0.35
            center = (u, v + (1 - i) * 0.55, z)
            canvas.disc(center, 0.25, color, emissive=i == on, solid=False)
    if canvas.light.dark > 0.5:
        canvas.glow((head[0], head[1] + (1 - on) * 0.55, z), 1.4, lamps[on], 0.8)


def paint_traffic_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a round, triangular, square or direction sign on a post."""
    y, r = rng.uniform(2.3, 2.7), rng.uniform(0.55, 0.68)
    with canvas.object('pole'):
        canvas.stroke([[x, 0, z], [x, y, z]], 0.16, (158, 160, 160))
    kind = rng.integers(4)
    white, red, blue = (246, 246, 246), (216, 32, 40), (28, 84, 196)
    with canvas.object('traffic sign'):
        if kind == 0:
            canvas.disc((x, y, z), r, red)
            canvas.disc((x, y, z), r * 0.68, white, solid=False)
            canvas.rectangle(x - 0.2, x + 0.2, y - 0.08, y + 0.1, z, DARK, solid=False)
        elif kind == 1:
            for scale, color in ((1.25, red), (0.7, white)):
                corners = [[0, 1], [0.95, -0.65], [-0.95, -0.65]]
                points = [[x + r * scale * a, y + r * scale * b, z] for a, b in corners]
                canvas.quad(points, color, solid=scale > 1)
        elif kind == 2:
            for scale, color in ((1.0, white), (0.86, blue)):
                s = r * scale
                canvas.rectangle(x - s, x + s, y - s, y + s, z, color, solid=scale == 1)
            canvas.stroke([[x - 0.2, y - 0.3, z], [x - 0.2, y + 0.3, z]], 0.14, white, solid=False)
            canvas.disc((x, y + 0.15, z), 0.2, white, solid=False)
        else:
            canvas.disc((x, y, z), r, red)
            w = r * 0.7
            canvas.rectangle(x - w, x + w, y - 0.13, y + 0.13, z, white, solid=False)


SKIN = ((224, 180, 150), (176, 124, 92), (122, 84, 62))
SHIRTS = ((204, 40, 96), (236, 90, 130), (170, 40, 150), (226, 60, 60))
VESTS = ((244, 240, 60), (250, 150, 20), (190, 250, 60))


def paint_person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a pedestrian who walks or stands."""
    tall = rng.uniform(1.6, 1.95)
    stride = rng.uniform(0.05, 0.32)
    shirt, trousers, skin = pick(rng, SHIRTS), jitter(rng, (56, 44, 78), 10), pick(rng, SKIN)
    hip, chest = tall * 0.5, tall * 0.82
    shadow(canvas, x, z, 0.4, 0.3)
    with canvas.object('person'):
        canvas.stroke([[x, hip, z], [x - stride, 0, z]], 0.22, trousers)
        canvas.stroke([[x, hip, z], [x + stride, 0, z]], 0.22, trousers * 0.85)
        body = [[x - 0.2, hip - 0.08, z], [x + 0.2, hip - 0.08, z]]
        body += [[x + 0.28, chest, z], [x - 0.28, chest, z]]
        canvas.quad(body, shirt)
        for side in (-1, 1):
            arm = [[x + side * 0.28, chest - 0.06, z], [x + side * (0.34 + stride / 3), hip, z]]
            canvas.stroke(arm, 0.14, shirt * 0.85)
        canvas.disc((x, tall * 0.91, z), (0.14, 0.17), skin)
        canvas.disc((x, tall * 0.955, z), (0.15, 0.1), (44, 32, 26))


def _wheel(canvas: Canvas, x: float, z: float, radius: float, rim) -> None:
    canvas.disc((x, radius, z), radius, TIRE)
    canvas.disc((x, radius, z), radius * 0.68, rim, solid=False)
    canvas.disc((x, radius, z), radius * 0.15, TIRE, solid=False)


def paint_bicycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, rider: bool, facing: int
) -> None:
    """Paint a bicycle seen from the side (``facing`` -1, 1) or from behind (0)."""
    frame = pick(rng, ((30, 190, 200), (60, 210, 150), (40, 150, 230)))
    rim = (176, 186, 190)
    shadow(canvas, x, z, 0.9 if facing else 0.3, 0.3)
    with canvas.object('bicycle'):
        if facing:
            for end in (-0.55, 0.55):
                _wheel(canvas, x + end, z, 0.38, rim)
            f = facing
            bars = [[x - 0.55 * f, 0.38], [x - 0.2 * f, 0.85], [x + 0.4 * f, 0.85]]
            bars += [[x + 0.55 * f, 0.38], [x, 0.4], [x - 0.2 * f, 0.85], [x - 0.55 * f, 0.38]]
            canvas.stroke([[u, v, z] for u, v in bars], 0.1, frame)
            canvas.stroke([[x + 0.4 * f, 0.85, z], [x + 0.36 * f, 1.08, z]], 0.08, frame)
            canvas.stroke([[x + 0.25 * f, 1.08, z], [x + 0.5 * f, 1.08, z]], 0.1, DARK)
            canvas.stroke([[x - 0.36 * f, 0.95, z], [x - 0.05 * f, 0.95, z]], 0.13, DARK)
        else:
            canvas.rectangle(x - 0.1, x + 0.1, 0, 0.76, z, TIRE)
            canvas.stroke([[x, 0.5, z], [x, 1.0, z]], 0.14, frame)
            canvas.stroke([[x - 0.35, 1.05, z], [x + 0.35, 1.05, z]], 0.1, frame)
    if rider:
        _rider(canvas, rng, x, z, facing, seat=0.95, vehicle='bicyclist')


def paint_motorcycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, rider: bool, facing: int
) -> None:
    """Paint a motorcycle seen from the side (``facing`` -1, 1) or from behind (0)."""
    tank = pick(rng, ((24, 40, 190), (60, 30, 170), (20, 80, 210)))
    shadow(canvas, x, z, 1.1 if facing else 0.45, 0.4)
    with canvas.object('motorcycle'):
        if facing:
            f = facing
            for end in (-0.7, 0.7):
                _wheel(canvas, x + end, z, 0.36, (72, 74, 80))
            body = [[-0.95, 0.72], [-0.9, 0.95], [-0.15, 0.82], [0.1, 1.05], [0.5, 1.0]]
            body += [[0.75, 0.7], [0.5, 0.3], [-0.4, 0.3]]
            canvas.quad([[x + f * u, v, z] for u, v in body], tank)
            engine = [[-0.35, 0.26], [0.4, 0.26], [0.3, 0.62], [-0.3, 0.62]]
            canvas.quad([[x + f * u, v, z] for u, v in engine], (112, 112, 118))
            seat = [[-0.9, 0.86], [-0.1, 0.8], [-0.1, 0.92], [-0.9, 1.0]]
            canvas.quad([[x + f * u, v, z] for u, v in seat], DARK)
            canvas.stroke([[x + f * 0.72, 0.4, z], [x + f * 0.4, 1.2, z]], 0.1, (150, 150, 154))
            canvas.disc((x + f * 0.66, 0.95, z), 0.13, (250, 240, 190), emissive=True)
        else:
            canvas.rectangle(x - 0.13, x + 0.13, 0, 0.6, z, TIRE)
            tail = [[x - 0.3, 0.5, z], [x + 0.3, 0.5, z], [x + 0.34, 1.0, z], [x - 0.34, 1.0, z]]
            canvas.quad(tail, tank)
            canvas.disc((x, 0.78, z), (0.16, 0.09), (250, 40, 30), emissive=True)
            canvas.stroke([[x - 0.5, 1.12, z], [x + 0.5, 1.12, z]], 0.1, DARK)
    if rider:
        _rider(canvas, rng, x, z, facing, seat=0.92, vehicle='motorcyclist')


def _rider(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    z: float,
    facing: int,
    seat: float,
    vehicle: str,
) -> None:
    """Paint a rider: helmet, bright vest, hands on the handlebar."""
    vest, legs = pick(rng, VESTS), jitter(rng, (70, 72, 60), 8)
    helmet = pick(rng, ((240, 240, 236), (250, 200, 40)))
    with canvas.object(vehicle):
        if facing:
            f = facing
            leg = [[x - 0.2 * f, seat, z], [x + 0.2 * f, seat - 0.2, z], [x + 0.05 * f, 0.3, z]]
            canvas.stroke(leg, 0.2, legs)
            canvas.stroke([[x - 0.2 * f, seat, z], [x + 0.08 * f, seat + 0.6, z]], 0.4, vest)
            arm = [[x + 0.1 * f, seat + 0.5, z], [x + 0.42 * f, seat + 0.17, z]]
            canvas.stroke(arm, 0.13, vest * 0.85)
            head = (x + 0.18 * f, seat + 0.85, z)
        else:
            for side in (-1, 1):
                canvas.stroke([[x, seat, z], [x + side * 0.26, 0.35, z]], 0.2, legs)
                arm = [[x + side * 0.26, seat + 0.5, z], [x + side * 0.4, seat + 0.12, z]]
                canvas.stroke(arm, 0.14, vest * 0.85)
            back = [[x - 0.24, seat - 0.05, z], [x + 0.24, seat - 0.05, z]]
            back += [[x + 0.3, seat + 0.6, z], [x - 0.3, seat + 0.6, z]]
            canvas.quad(back, vest)
            head = (x, seat + 0.82, z)
        canvas.disc(head, (0.19, 0.21), helmet)
        canvas.disc((head[0] + 0.08 * facing, head[1] - 0.08, z), 0.09, (170, 126, 98), solid=False)
