"""Reads the frames of a source across interruptions, and counts the frames that are lost."""

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np

from .source import Source, open_capture

# Seconds before the first attempt to connect again, and the most before a later one.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0


class FrameReader:
    """An iterator over the frames (H, W, 3) uint8, BGR, of a source.

    A video whose number of frames is known, on a disk or a file server, continues after an
    interruption at the frame where it broke off. A live source continues with its next frame. The
    number of lost frames is then estimated from the time and from the rate before.

    Args:
        source: Source to open.
        timeout: See :func:`open_capture`.
        attempts: How often to connect again before a stream counts as ended.
        stop: Event that ends the frames when it is set.

    Attributes:
        width, height: Size of a frame in pixels.
        rate: Frames per second that the source claims, or 25.
        total: Number of frames; 0 if not known.
        live: Whether the source sends frames at its own rate, even if nobody is ready for them.
        received: Number of complete frames.
        lost: Number of lost frames.
        reconnections: Number of times that the reader connected again.
        problem: Reason why there are no more frames; empty at the end of a video and after
            ``stop``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: See :func:`open_capture`. The error is also raised if the source sends no frame.
    """

    def __init__(
        self,
        source: Source,
        timeout: float = 10.0,
        attempts: int = 5,
        stop: threading.Event | None = None,
    ) -> None:
        self.source, self.timeout, self.attempts = source, timeout, attempts
        self.stop = stop or threading.Event()
        self.received = self.lost = self.reconnections = 0
        self.problem = ''
        self._capture = open_capture(source, timeout)
        self._first = self.decode()
        if self._first is None:
            self._capture.release()
            raise ValueError(f'{source} cannot be decoded: it sends no frame')
        self.height, self.width = self._first.shape[:2]
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = self.rate if 0 < self.rate <= 1000 else 25.0
        self.total = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        # A file may not tell its length, such as a recording of a browser.
        self.live = source.kind == 'camera' or (source.kind == 'address' and not self.total)
        self._began = self._latest = time.monotonic()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames once."""
        # A frame is only yielded when the next one has come, because the last frame before an
        # interruption may be incomplete, and decoders fill the missing part without an error.
        held, self._first = self._first, None
        broke_off_at = -1
        while held is not None and not self.stop.is_set():
            following = self.decode()
            if following is None and not self._is_end(broke_off_at):
                broke_off_at = self.received
                held = self._connect_again()
                continue
            if held.shape[:2] != (self.height, self.width):
                now = f'{held.shape[1]}x{held.shape[0]}'
                self.problem = f'{self.source} went from {self.width}x{self.height} to {now} pixels'
                break
            self.received += 1
            yield held
            held = following
        self._capture.release()
        if self.total and not self.stop.is_set():
            self.lost = max(self.total - self.received, 0)

    def decode(self) -> np.ndarray | None:
        """Decode the next image (H, W, 3), BGR, or return None if the source sends none."""
        try:
            image = self._capture.read()[1]
        except cv2.error:
            return None
        if image is not None:
            self._latest = time.monotonic()
        return image

    def _is_end(self, broke_off_at: int) -> bool:
        """Return whether a source that sends no frame has come to its end.

        The number of frames in a container can be wrong. A video that stops twice at the same frame
        has therefore come to its end.
        """
        if self.source.kind == 'file':
            return True
        return not self.live and self.received in (self.total - 1, broke_off_at)

    def _connect_again(self) -> np.ndarray | None:
        """Connect again and return the next frame, or None after the last attempt."""
        self._capture.release()
        broke_off, pause, reason = self._latest, FIRST_PAUSE, ''
        for _ in range(self.attempts):
            if self.stop.wait(pause):
                return None
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self._capture = open_capture(self.source, self.timeout)
            except (OSError, ValueError) as e:
                reason = f': {e}'
                continue
            if not self.live:
                # Seeking is not exact in every container, and not every server supports it.
                for _ in range(self.received):
                    self._capture.grab()
            image = self.decode()
            if image is not None:
                self.reconnections += 1
                if self.live:
                    self.lost += self._estimate_lost_frames(broke_off)
                return image
            reason = f': {self.source} sends no frame'
        self.problem = (
            f'{self.source} broke off after {self.received} frames, and {self.attempts} attempts '
            f'to connect again failed{reason}'
        )
        return None

    def _estimate_lost_frames(self, broke_off: float) -> int:
        """Estimate how many frames were sent since the interruption, including the one cut off."""
        rate = self.received / max(broke_off - self._began, 1e-3)
        return max(round(rate * (time.monotonic() - broke_off)), 1)
