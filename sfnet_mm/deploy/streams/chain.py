"""Decodes a stream, runs the model and writes the results at the same time."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sfnet_mm.utils.timer import Timer

from ..runtimes import Runtime
from .channel import Channel
from .reader import FrameReader
from .summary import StageTimes, StreamSummary

# The largest number of frames that wait for the next stage.
WAITING = 3


def run_chain(
    reader: FrameReader,
    runtime: Runtime,
    predict: Callable[[np.ndarray], Any],
    write: Callable[[int, np.ndarray, Any, StageTimes], None],
    max_frames: int = 0,
    on_frame: Callable[[], None] | None = None,
) -> StreamSummary:
    """Read, predict and write all frames of a stream at the same time, in three threads.

    A live stream does not wait. If inference is too slow for it, the oldest waiting frame is
    dropped. Any other stream waits, and none of its frames is dropped.

    Args:
        reader: Reader of the frames. After its ``stop`` is set, frames that wait for inference are
            dropped, and results are still written.
        runtime: The model that ``predict`` runs, which measures the time of its network.
        predict: Function that makes the result of a frame, in the thread of the caller.
        write: Function of the number of a frame (dropped frames count), the frame, its result, and
            the object that records the times of its parts.
        max_frames: Number of results after which to stop; 0 sets no limit.
        on_frame: Function that is called after each result.

    Raises:
        Exception: A stage raised it. The other stages have ended by then.
    """
    times = StageTimes()
    frames: Channel[tuple[int, np.ndarray]] = Channel(WAITING, drops=reader.live)
    results: Channel[tuple[int, np.ndarray, Any]] = Channel(WAITING)
    failures = []

    def stage(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as e:
                failures.append(e)
                reader.stop.set()
                results.close(discard=True)
            finally:
                frames.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def read() -> None:
        for number, frame in enumerate(times.measure_each('read', reader)):
            last = not reader.live and number + 1 == max_frames
            if not frames.put((number, frame)) or last:
                return

    def write_all() -> None:
        for item in results:
            write(*item, times)

    processed = 0
    reading = stage(read)
    try:
        with Timer() as total:
            writing = stage(write_all)
            try:
                for number, frame in frames:
                    if reader.stop.is_set():
                        break
                    with times.measure('predict'):
                        result = predict(frame)
                    times.add('network', runtime.network_ms)
                    if not results.put((number, frame, result)):
                        break
                    processed += 1
                    if on_frame:
                        on_frame()
                    if processed == max_frames:
                        break
            except BaseException:
                results.close(discard=True)
                raise
            finally:
                stopped = reader.stop.is_set()
                reader.stop.set()
                frames.close(discard=True)
                results.close()
                writing.join()
    finally:
        # A reader that hangs while reading ends with the program.
        reading.join(1)
    if failures:
        raise failures[0]
    return StreamSummary(reader, processed, total.milliseconds / 1000, times, stopped)


@contextlib.contextmanager
def stop_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """Make the first Ctrl-C (or SIGTERM) set ``stop``. The second one interrupts as usual.

    Only the main thread gets signals. In another thread this function does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def handle(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
