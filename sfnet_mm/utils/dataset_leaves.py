"""Finds the data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``."""

from collections.abc import Iterator
from typing import Any


def leaves_of(
    dataset: Any, wrappers: type | tuple[type, ...] = object, times: int = 1
) -> Iterator[tuple[Any, int]]:
    """Yield the data sets inside wrappers of some types, and how often each is repeated."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner[0] is None or not isinstance(dataset, wrappers):
        yield dataset, times
        return
    for child in inner:
        yield from leaves_of(child, wrappers, times * getattr(dataset, 'times', 1))
