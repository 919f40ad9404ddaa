"""Passes items from one thread to another in a queue of limited length."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar('T')


class Channel(Generic[T]):
    """A queue from one thread to another that keeps the order of its items.

    Args:
        size: Largest number of items in the channel.
        drops: Whether a full channel drops its oldest item for a new one. Otherwise :meth:`put`
            waits.

    Attributes:
        dropped: Number of items that were dropped.
    """

    def __init__(self, size: int, drops: bool = False) -> None:
        self.size, self.drops = size, drops
        self.dropped = 0
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item and return True, or drop it and return False if the channel is closed."""
        with self._changed:
            while not self.drops and len(self._items) >= self.size and not self._closed:
                self._changed.wait()
            if self._closed:
                self.dropped += 1
                return False
            if len(self._items) >= self.size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self, discard: bool = False) -> None:
        """Accept no more items. The reader still gets those that wait unless ``discard`` is set."""
        with self._changed:
            self._closed = True
            if discard:
                self.dropped += len(self._items)
                self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield the items until the channel is closed and empty."""
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    # The wait is short because a signal is handled between two waits.
                    self._changed.wait(0.1)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
