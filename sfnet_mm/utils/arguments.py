"""Checks arguments and raises a ValueError that names the owner, the argument and its value."""

from collections.abc import Iterable
from typing import Any


def check_choice(owner: str, choices: Iterable[Any], **values: Any) -> None:
    """Raise a ValueError unless every value is one of the choices."""
    choices = list(choices)
    for name, value in values.items():
        if value not in choices:
            raise ValueError(
                f'{owner}: {name}={value!r} is not one of {", ".join(map(str, choices))}'
            )


def check_odd(owner: str, **sizes: int) -> None:
    """Raise a ValueError unless every kernel size is odd. An even one shifts by half a pixel."""
    for name, size in sizes.items():
        if size < 1 or size % 2 == 0:
            raise ValueError(
                f'{owner}: {name}={size} must be odd, an even kernel shifts the map by half a pixel'
            )


def check_least(owner: str, least: int, **values: int) -> None:
    """Raise a ValueError unless every value is ``least`` or more."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f'{owner}: {name}={value} must be {least} or more')


def check_range(owner: str, low: float, high: float, **values: float) -> None:
    """Raise a ValueError unless every value is in ``low..high``, ends included."""
    for name, value in values.items():
        if not low <= value <= high:
            raise ValueError(f'{owner}: {name}={value} is not in {low}..{high}')
