"""Counts the frames of a stream and measures the time of each stage."""

import contextlib
import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from sfnet_mm.utils.timer import Timer

# The medians are those of this number of latest frames.
KEPT = 1000


class StageTimes:
    """Milliseconds of each stage for each of the latest frames."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time one frame in a stage."""
        with Timer() as timer:
            yield
        self.add(stage, timer.milliseconds)

    def measure_each(self, stage: str, frames: Iterable[Any]) -> Iterator[Any]:
        """Iterate over frames, and time how long each takes to come."""
        source = iter(frames)
        while True:
            try:
                with self.measure(stage):
                    frame = next(source)
            except StopIteration:
                return
            yield frame

    def add(self, stage: str, milliseconds: float) -> None:
        """Record the time of one frame in a stage."""
        self._times.setdefault(stage, deque(maxlen=KEPT)).append(milliseconds)

    def median(self, stage: str) -> float:
        """Return the median milliseconds of a frame in a stage, or 0 if no frame passed it."""
        return statistics.median(self._times[stage]) if self._times.get(stage) else 0.0

    def stages(self) -> list[str]:
        """List the names of the stages that a frame passed."""
        return list(self._times)


class StreamSummary:
    """Counts and times of a stream.

    Args:
        reader: :class:`FrameReader` of the stream after its last frame.
        processed: Number of frames whose results were written.
        seconds: Time from the first frame to the last result.
        times: Times of the stages.
        stopped: Whether the user stopped the stream.
    """

    def __init__(
        self, reader: Any, processed: int, seconds: float, times: StageTimes, stopped: bool
    ) -> None:
        self.source, self.reconnections = reader.source, reader.reconnections
        self.problem, self.live, self.total = reader.problem, reader.live, reader.total
        self.lost, self.processed = reader.lost, processed
        self.dropped = reader.received - processed
        self.seconds, self.times, self.stopped = seconds, times, stopped

    @property
    def frames_per_second(self) -> float:
        """The number of frames per second from the source to the written results."""
        return self.processed / max(self.seconds, 1e-9)

    def count_line(self) -> str:
        """Write a line with the numbers of processed, dropped and lost frames."""
        about = 'about ' if self.live and self.lost else ''
        found = self.processed + self.dropped + self.lost
        line = (
            f'{self.source}: {self.processed} processed + {self.dropped} dropped + '
            f'{about}{self.lost} lost = {found} frames'
        )
        if self.reconnections:
            line += f', connected again {self.reconnections}x'
        if self.stopped:
            line += f', stopped{f" of {self.total}" if self.total else ""}'
        return line

    def speed_line(self) -> str:
        """Write a line with the frames per second and the median milliseconds of each stage."""
        parts = [
            f'{stage} {self.times.median(stage):.1f}'
            for stage in ('read', 'predict', 'draw', 'write')
            if stage in self.times.stages()
        ]
        network = self.times.median('network')
        return (
            f'{self.frames_per_second:.1f} frames per second end to end; ms per frame in each '
            f'stage: {", ".join(parts)} (the network is {network:.1f} of predict)'
        )
