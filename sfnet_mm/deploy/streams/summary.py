"""What became of the frames of a stream, and how long each stage took."""

import contextlib
import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from sfnet_mm.utils.timer import Timer

# Frames whose times are kept: the medians are those of the latest ones.
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
        """Note the time of one frame in a stage."""
        self._times.setdefault(stage, deque(maxlen=KEPT)).append(milliseconds)

    def median(self, stage: str) -> float:
        """Milliseconds of a frame in a stage; 0 if none passed it."""
        return statistics.median(self._times[stage]) if self._times.get(stage) else 0.0

    def stages(self) -> list[str]:
        """Names of the stages that a frame passed."""
        return list(self._times)


class StreamSummary:
    """Counts and times of a stream.

    Args:
        reader: Its :class:`FrameReader`, at its end.
        processed: Frames whose results were written.
        seconds: From the first frame to the last result.
        times: Times of the stages.
        stopped: Whether the user ended it.
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
        """End to end: from the source to what is written."""
        return self.processed / max(self.seconds, 1e-9)

    def count_line(self) -> str:
        """What became of each frame."""
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
        """Frames per second of the whole chain, and the median milliseconds of each stage."""
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
