"""Arranges a street scene and paints it from far to near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sfnet_mm.mini_uds import actors, roadside, street, vehicles

from .canvas import SUPERSAMPLE, Camera, Canvas, SceneObject
from .domains import RAIN, Domain

# The painters of what lines the street on one side.
SIDES = {
    'house': roadside.paint_house,
    'wall': roadside.paint_wall,
    'fence': roadside.paint_fence,
    'hedge': roadside.paint_hedge,
}
LARGE = (vehicles.paint_truck, vehicles.paint_bus, vehicles.paint_train)


@dataclass
class Scene:
    """A painted street.

    Attributes:
        image: RGB, uint8 (H, W, 3).
        objects: Labeled polygons in the order of drawing; later ones cover earlier ones.
    """

    image: np.ndarray
    objects: list[SceneObject]


def paint_scene(domain: Domain, rng: np.random.Generator, number: int) -> Scene:
    """Paint one street.

    Args:
        domain: Appearance of the data set.
        rng: Random generator; the same state gives the same picture.
        number: Running number of the picture. It decides which rare objects (truck, bus or
            train; wall or fence; kind of two-wheeler) must be visible, so that every class occurs
            even in a small set.
    """
    lights, weights = zip(*domain.lights)
    light = lights[rng.choice(len(lights), p=weights)]
    height, width = domain.size
    camera = Camera(
        height=height,
        width=width,
        focal=rng.uniform(*domain.focal) * width,
        horizon=rng.uniform(*domain.horizon) * height,
        above=rng.uniform(*domain.above),
        offset=rng.uniform(0.8, 1.8),
        bend=rng.normal(0, 0.0012),
    )
    canvas = Canvas(camera, light)
    road = rng.uniform(4.0, 5.0)
    sidewalk = road + rng.uniform(2.4, 3.2)
    street.paint_sky(canvas, rng, domain)
    paved = ((-1, 1), (-1, 1), (1,), (-1,))[rng.integers(4)]
    street.paint_ground(canvas, rng, domain, road, sidewalk, paved)
    street.paint_backdrop(canvas, rng, domain)
    _paint_sides(canvas, rng, domain, sidewalk, number)
    for _, paint in sorted(_list_actors(rng, domain, road, sidewalk, number), key=lambda a: -a[0]):
        paint(canvas, rng)
    if domain.name == 'cityscapes':
        _paint_hood(canvas)
    image = _add_camera_effects(canvas, rng, domain)
    return Scene(image, canvas.objects)


def _paint_sides(
    canvas: Canvas, rng: np.random.Generator, domain: Domain, sidewalk: float, number: int
) -> None:
    """Paint houses, walls, fences and plants on both sides of the street, far to near."""
    forced = {-1: ('wall', 'fence')[number % 2], 1: ('fence', 'wall')[number // 2 % 2]}
    kinds = (*SIDES, 'open')
    slots = []
    for side in (-1, 1):
        z, near = 2.0, True
        while z < 60:
            length = rng.uniform(7, 13)
            kind = kinds[rng.choice(5, p=(0.46, 0.1, 0.1, 0.16, 0.18))]
            if near and z > 4:
                # The rare kinds are close, where they fill many pixels.
                kind, near = forced[side], False
            slots.append((z, z + length - rng.uniform(0.3, 2.0), side, kind))
            z += length
    for z0, z1, side, kind in sorted(slots, key=lambda slot: -slot[0]):
        x = side * (sidewalk + (rng.uniform(2.0, 4.5) if kind in ('house', 'hedge') else 1.5))
        if kind != 'house':
            for _ in range(rng.integers(0, 3)):
                far = side * (sidewalk + rng.uniform(3, 8))
                roadside.paint_tree(canvas, rng, far, rng.uniform(z0, z1) + 2, domain)
        if kind in SIDES:
            SIDES[kind](canvas, rng, domain, x, z0, z1)


def _list_actors(
    rng: np.random.Generator, domain: Domain, road: float, sidewalk: float, number: int
) -> list[tuple[float, Callable]]:
    """List everything that stands in the street, as (depth, painter)."""
    cast: list[tuple[float, Callable]] = []

    def add(paint: Callable, x: float, z: float, *args) -> None:
        cast.append((z, lambda canvas, rng: paint(canvas, rng, x, z, *args)))

    # Traffic keeps right: the lane of the camera is X > 0, the oncoming one X < 0.
    large_lane = int(rng.choice((-1, 1)))
    add(LARGE[number % 3], large_lane * rng.uniform(1.8, 2.4), rng.uniform(8, 15), large_lane < 0)
    for lane in (-1, 1):
        z = rng.uniform(7, 12) if lane != large_lane else rng.uniform(30, 36)
        while z < 50:
            if rng.random() < 0.7:
                add(vehicles.paint_car, lane * rng.uniform(1.7, 2.3), z, lane < 0)
            z += rng.uniform(8, 16)
        z = rng.uniform(4.5, 9)
        while z < 40:
            if rng.random() < 0.25:
                add(vehicles.paint_car, lane * (road - 0.9), z, lane < 0)
            z += rng.uniform(5.5, 9)
    if domain.name == 'idd' and rng.random() < 0.5:
        add(vehicles.paint_autorickshaw, -large_lane * 1.4, rng.uniform(12, 18), large_lane > 0)

    two_wheelers = (actors.paint_bicycle, actors.paint_motorcycle)
    for i in range(round(rng.integers(2, 4) * domain.crowd)):
        paint = two_wheelers[(number + i) % 2]
        facing = int(rng.choice((-1, 0, 1)))
        add(paint, rng.uniform(-road, road) * 0.75, rng.uniform(5.5, 12), True, facing)
    for i in range(rng.integers(1, 3)):
        paint = two_wheelers[(number + i + 1) % 2]
        side = int(rng.choice((-1, 1)))
        add(paint, side * (road + rng.uniform(0.6, 1.6)), rng.uniform(6, 12), False, side)
    for _ in range(round(rng.integers(2, 6) * domain.crowd)):
        on_road = rng.random() < 0.25
        x = (
            rng.uniform(-road, road)
            if on_road
            else rng.choice((-1, 1)) * rng.uniform(road + 0.4, sidewalk - 0.3)
        )
        add(actors.paint_person, x, rng.uniform(6.5, 20))

    for side in (-1, 1):
        edge = side * (road + 0.5)
        for z in (rng.uniform(9, 16), rng.uniform(24, 40)):
            add(actors.paint_lamp_post, edge, z)
        add(actors.paint_traffic_sign, edge, rng.uniform(7, 14))
        if rng.random() < 0.8:
            over_road = rng.random() < 0.5
            add(actors.paint_traffic_light, edge, rng.uniform(9, 16), over_road)
    for _ in range(rng.integers(0, 3)):
        x = rng.choice((-1, 1)) * (sidewalk - 0.4)
        add(roadside.paint_tree, x, rng.uniform(12, 45), domain)
    return cast


def _paint_hood(canvas: Canvas) -> None:
    """Paint the hood of the filming car."""
    height, width = canvas.image.shape[:2]
    xs = np.linspace(0.12, 0.88, 24)
    ys = 0.955 + 0.35 * (xs - 0.5) ** 2
    arc = np.stack([xs * width, ys * height], axis=1)
    with canvas.object('ego vehicle'):
        canvas.fill(np.concatenate([arc, [[width * 0.88, height], [width * 0.12, height]]]), DARK)
        canvas.fill(arc[6:18] + [0, 4], (96, 100, 106), solid=False)


DARK = (28, 30, 34)


def _add_camera_effects(canvas: Canvas, rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """Turn the painting into a photograph: rain, wet reflections, lens, sensor noise."""
    light, image = canvas.light, canvas.image
    if light is RAIN:
        # A wet road reflects the picture above the horizon.
        horizon = int(canvas.camera.horizon * SUPERSAMPLE)
        below = image[horizon:].astype(np.float32)
        mirror = image[:horizon][::-1][: len(below)]
        mirror = cv2.resize(mirror, (below.shape[1], len(below))).astype(np.float32)
        mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=3, sigmaY=14)
        image[horizon:] = np.clip(below * 0.86 + mirror * 0.14, 0, 255).astype(np.uint8)
        streaks = np.zeros(image.shape[:2], dtype=np.float32)
        for _ in range(90):
            x, y = rng.integers(image.shape[1]), rng.integers(image.shape[0])
            tip = (int(x - 3), int(y + rng.integers(8, 22)))
            cv2.line(streaks, (int(x), int(y)), tip, float(rng.uniform(10, 34)), 1)
        image[:] = np.clip(image + streaks[..., None], 0, 255).astype(np.uint8)
    picture = canvas.finish().astype(np.float32)
    height, width = picture.shape[:2]
    rows, cols = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    picture *= (1 - 0.1 * (rows**2 + cols**2))[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), 0.45)
    picture += rng.normal(0, domain.noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)
