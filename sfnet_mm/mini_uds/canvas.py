"""A pinhole camera above a street, and a canvas that records the outlines of objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np

Color = Sequence[float]

# Pictures are painted larger by this factor and shrunk at the end, which makes edges smooth.
SUPERSAMPLE = 3

_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
UNIT_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclass
class Camera:
    """A pinhole camera above the road that looks along it.

    World axes: X to the right, Y up, Z forward, in meters; the road's middle is X = 0.

    Args:
        height: Image height in pixels.
        width: Image width in pixels.
        focal: Focal length in pixels.
        horizon: Row of the horizon in pixels.
        above: Height of the camera above the ground, in meters.
        offset: X of the camera, in meters.
        bend: Curvature of the road: X shifts by ``bend * Z ** 2``.
    """

    height: int
    width: int
    focal: float
    horizon: float
    above: float
    offset: float = 0.0
    bend: float = 0.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (N, 3) to pixels (N, 2) of the enlarged picture."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        z = np.maximum(points[:, 2], 0.3)
        scale = SUPERSAMPLE * self.focal / z
        pixels = np.empty((len(z), 2))
        pixels[:, 0] = (points[:, 0] - self.offset + self.bend * z**2) * scale
        pixels[:, 1] = (self.above - points[:, 1]) * scale
        return pixels + (SUPERSAMPLE * self.width / 2, SUPERSAMPLE * self.horizon)

    def pixels_per_meter(self, z: float) -> float:
        """Compute the size of a meter at depth ``z``, in pixels of the enlarged picture."""
        return self.focal * SUPERSAMPLE / max(z, 0.3)


@dataclass
class Light:
    """The effect of weather and time of day on colors.

    Args:
        tint: Gain of red, green and blue.
        fog: Color that distance fades to.
        density: Strength of that fading, 1/m.
        dark: 0 by day, 1 at night; lamps and windows shine if it is above 0.5.
    """

    tint: Color = (1.0, 1.0, 1.0)
    fog: Color = (200.0, 205.0, 210.0)
    density: float = 0.004
    dark: float = 0.0

    def shade(self, color: Color, depth: float, emissive: bool = False) -> tuple[int, ...]:
        """Compute the color that the camera sees at ``depth`` meters."""
        # Plain floats are used because arrays of three numbers take ten times as long per polygon.
        gains = (1.0, 1.0, 1.0) if emissive else self.tint
        through = math.exp(-self.density * depth)
        return tuple(
            int(min(255.0, max(0.0, float(c) * gain * through + fog * (1 - through))))
            for c, gain, fog in zip(color, gains, self.fog)
        )


@dataclass
class SceneObject:
    """A labeled object: its polygons in image pixels (pixel centers at integers)."""

    label: str
    polygons: list[np.ndarray] = field(default_factory=list)


class Canvas:
    """An image that is painted from far to near, with the outline of every labeled object.

    Attributes:
        image: RGB, uint8, enlarged by ``SUPERSAMPLE``.
        objects: The painted objects, far to near.
        stencil: Pixels of the object that is being painted, 255 where it is solid.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        shape = (camera.height * SUPERSAMPLE, camera.width * SUPERSAMPLE)
        self.image = np.zeros((*shape, 3), dtype=np.uint8)
        self.objects: list[SceneObject] = []
        self.stencil = np.zeros(shape, dtype=np.uint8)
        self._recording = False

    @contextmanager
    def object(self, label: str) -> Iterator[None]:
        """Collect everything that is painted inside the ``with`` block into one object."""
        self.stencil[:] = 0
        self._recording = True
        yield
        self._recording = False
        polygons = self._outline()
        if polygons:
            self.objects.append(SceneObject(label, polygons))

    def _outline(self) -> list[np.ndarray]:
        x, y, w, h = cv2.boundingRect(self.stencil)
        contours, _ = cv2.findContours(
            self.stencil[y : y + h, x : x + w],
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
            offset=(x, y),
        )
        polygons = []
        for contour in contours:
            if len(contour) < 3 or cv2.contourArea(contour) < SUPERSAMPLE**2:
                continue
            contour = cv2.approxPolyDP(contour, 0.5, True)
            points = (contour.reshape(-1, 2) + 0.5) / SUPERSAMPLE - 0.5
            if len(points) >= 3:
                polygons.append(np.round(points, 2))
        return polygons

    def fill(
        self,
        pixels: np.ndarray,
        color: Color,
        depth: float = 0.0,
        emissive: bool = False,
        solid: bool = True,
    ) -> None:
        """Fill a polygon given in canvas pixels; ``solid`` ones belong to the object."""
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        size = self.image.shape
        if high[0] < 0 or high[1] < 0 or low[0] > size[1] or low[1] > size[0]:
            return
        points = np.rint(np.clip(pixels, -20000, 20000) * 16).astype(np.int32)
        shade = self.light.shade(color, depth, emissive)
        cv2.fillPoly(self.image, [points], shade, cv2.LINE_AA, shift=4)
        if solid and self._recording:
            cv2.fillPoly(self.stencil, [points], 255, cv2.LINE_8, shift=4)

    def quad(self, points: Sequence[Sequence[float]], color: Color, **options) -> None:
        """Fill a polygon given in world points."""
        points = np.asarray(points, dtype=np.float64)
        options.setdefault('depth', float(points[:, 2].sum() / len(points)))
        self.fill(self.camera.project(points), color, **options)

    def rectangle(
        self, x0: float, x1: float, y0: float, y1: float, z: float, color: Color, **options
    ) -> None:
        """Fill a rectangle that faces the camera, given in world axes."""
        self.quad([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]], color, **options)

    def stroke(
        self,
        points: Sequence[Sequence[float]],
        width: float,
        color: Color,
        emissive: bool = False,
        solid: bool = True,
    ) -> None:
        """Draw a line through world points, ``width`` meters wide."""
        points = np.asarray(points, dtype=np.float64)
        depth = float(points[:, 2].mean())
        pixels = np.clip(self.camera.project(points), -20000, 20000)
        thickness = max(1, round(width * self.camera.pixels_per_meter(depth)))
        line = np.round(pixels * 16).astype(np.int32)
        shade = self.light.shade(color, depth, emissive)
        cv2.polylines(self.image, [line], False, shade, thickness, cv2.LINE_AA, shift=4)
        if solid and self._recording:
            cv2.polylines(self.stencil, [line], False, 255, thickness, cv2.LINE_8, shift=4)

    def disc(
        self,
        center: Sequence[float],
        radius: float | tuple[float, float],
        color: Color,
        emissive: bool = False,
        solid: bool = True,
    ) -> None:
        """Fill an ellipse that faces the camera; ``radius`` in meters, or (x, y) radii."""
        radii = np.asarray(radius if isinstance(radius, tuple) else (radius, radius))
        pixels = self.camera.project(center) + UNIT_CIRCLE * (
            radii * self.camera.pixels_per_meter(center[2])
        )
        self.fill(pixels, color, depth=center[2], emissive=emissive, solid=solid)

    def glow(self, center: Sequence[float], radius: float, color: Color, strength: float) -> None:
        """Add light around a world point; the light belongs to no object."""
        pixel = self.camera.project(np.asarray(center))[0]
        reach = int(radius * self.camera.pixels_per_meter(center[2]))
        x, y = int(pixel[0]), int(pixel[1])
        x0, x1 = max(0, x - reach), min(self.image.shape[1], x + reach + 1)
        y0, y1 = max(0, y - reach), min(self.image.shape[0], y + reach + 1)
        if reach < 1 or x0 >= x1 or y0 >= y1:
            return
        rows, cols = np.mgrid[y0:y1, x0:x1]
        falloff = np.clip(1 - np.hypot(rows - y, cols - x) / reach, 0, 1)[..., None] ** 2
        patch = self.image[y0:y1, x0:x1]
        lit = patch + falloff * strength * np.asarray(color)
        self.image[y0:y1, x0:x1] = np.clip(lit, 0, 255).astype(np.uint8)

    def finish(self) -> np.ndarray:
        """Return the picture at its final size, RGB uint8 (H, W, 3)."""
        size = (self.camera.width, self.camera.height)
        return cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)
