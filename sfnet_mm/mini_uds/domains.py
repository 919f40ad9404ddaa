"""The four domains with the street, the light and the camera of each data set."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Light

DAY = Light(tint=(1.0, 1.0, 1.0), fog=(206, 216, 228), density=0.003)
OVERCAST = Light(tint=(0.86, 0.9, 0.95), fog=(196, 202, 208), density=0.006)
SUNNY = Light(tint=(1.12, 1.08, 1.0), fog=(190, 214, 240), density=0.002)
HAZE = Light(tint=(1.08, 0.98, 0.84), fog=(222, 206, 172), density=0.012)
MONSOON = Light(tint=(0.8, 0.82, 0.8), fog=(186, 188, 178), density=0.01)
EVENING = Light(tint=(1.05, 0.8, 0.66), fog=(226, 160, 116), density=0.005, dark=0.4)
DUSK = Light(tint=(0.6, 0.6, 0.78), fog=(112, 112, 146), density=0.007, dark=0.7)
NIGHT = Light(tint=(0.42, 0.44, 0.6), fog=(34, 38, 62), density=0.008, dark=1.0)
RAIN = Light(tint=(0.74, 0.79, 0.86), fog=(168, 178, 188), density=0.014)


@dataclass(frozen=True)
class Domain:
    """One of the four data sets as the generator sees it.

    Args:
        name: Name of the source.
        size: Image height and width in pixels.
        lights: Kinds of light, each with its probability.
        sky: Colors at the zenith and at the horizon.
        plaster: Colors of houses.
        soil: Color of bare ground, which the terrain's grass grows on.
        grass: Color of that grass.
        leaves: Color of the vegetation.
        asphalt: Color of the road.
        paving: Color of the sidewalks.
        focal: Range of the focal length, in image widths.
        above: Range of the camera's height in meters.
        horizon: Range of the horizon's row, in image heights.
        floors: Range of stories.
        crowd: Number of people and two-wheelers, relative to Cityscapes.
        noise: Sensor noise, standard deviation in gray levels.
    """

    name: str
    size: tuple[int, int]
    lights: tuple[tuple[Light, float], ...]
    sky: tuple[tuple[int, int, int], tuple[int, int, int]]
    plaster: tuple[tuple[int, int, int], ...]
    soil: tuple[int, int, int]
    grass: tuple[int, int, int]
    leaves: tuple[int, int, int]
    asphalt: tuple[int, int, int]
    paving: tuple[int, int, int]
    focal: tuple[float, float]
    above: tuple[float, float]
    horizon: tuple[float, float]
    floors: tuple[int, int]
    crowd: float
    noise: float


DOMAINS = (
    Domain(
        name='cityscapes',
        size=(128, 256),
        lights=((OVERCAST, 0.7), (DAY, 0.3)),
        sky=((176, 190, 204), (226, 230, 234)),
        plaster=((198, 184, 160), (176, 164, 150), (206, 196, 184), (168, 150, 138)),
        soil=(136, 122, 84),
        grass=(150, 166, 82),
        leaves=(62, 92, 48),
        asphalt=(92, 92, 98),
        paving=(168, 152, 152),
        focal=(0.6, 0.66),
        above=(1.3, 1.5),
        horizon=(0.42, 0.46),
        floors=(2, 4),
        crowd=1.0,
        noise=3.0,
    ),
    Domain(
        name='idd',
        size=(120, 208),
        lights=((HAZE, 0.7), (MONSOON, 0.3)),
        sky=((196, 200, 196), (236, 226, 204)),
        plaster=((222, 190, 150), (206, 170, 168), (170, 196, 186), (228, 214, 172)),
        soil=(168, 134, 88),
        grass=(172, 158, 90),
        leaves=(78, 98, 44),
        asphalt=(112, 106, 100),
        paving=(184, 160, 142),
        focal=(0.68, 0.76),
        above=(1.5, 1.8),
        horizon=(0.44, 0.5),
        floors=(1, 3),
        crowd=1.5,
        noise=4.0,
    ),
    Domain(
        name='mapillary',
        size=(144, 192),
        lights=((SUNNY, 0.6), (DAY, 0.2), (EVENING, 0.2)),
        sky=((84, 142, 214), (190, 216, 240)),
        plaster=((214, 160, 120), (226, 216, 196), (190, 200, 210), (204, 132, 108)),
        soil=(150, 132, 86),
        grass=(146, 186, 74),
        leaves=(50, 104, 42),
        asphalt=(100, 98, 100),
        paving=(190, 176, 166),
        focal=(0.62, 0.9),
        above=(1.2, 2.1),
        horizon=(0.4, 0.54),
        floors=(1, 4),
        crowd=1.0,
        noise=2.0,
    ),
    Domain(
        name='bdd',
        size=(112, 200),
        lights=((RAIN, 0.3), (DUSK, 0.35), (NIGHT, 0.35)),
        sky=((104, 124, 160), (188, 184, 188)),
        plaster=((178, 150, 132), (164, 166, 172), (196, 186, 170), (150, 122, 110)),
        soil=(138, 118, 84),
        grass=(146, 164, 84),
        leaves=(60, 92, 56),
        asphalt=(96, 98, 106),
        paving=(172, 164, 158),
        focal=(0.7, 0.78),
        above=(1.3, 1.6),
        horizon=(0.44, 0.5),
        floors=(2, 5),
        crowd=0.9,
        noise=5.0,
    ),
)
