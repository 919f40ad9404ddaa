"""Segments a stream and writes the files of its results."""

import contextlib
from collections.abc import Callable

from ..prediction import predict
from ..runtimes import Runtime
from .chain import run_chain, stop_on_interrupt
from .outputs import StreamWriter
from .reader import FrameReader
from .summary import StreamSummary


def segment_stream(
    reader: FrameReader,
    runtime: Runtime,
    paths: dict[str, str],
    opacity: float = 0.5,
    suffix: str = 'png',
    browser: bool = False,
    max_frames: int = 0,
    on_frame: Callable[[], None] | None = None,
) -> StreamSummary:
    """Segment a stream and write the results.

    Ctrl-C ends the stream early. The files then hold the frames until that moment. The same holds
    if the stream breaks off for good. After an error there are no files.

    Args:
        reader: Reader of the frames.
        runtime: The model.
        paths: Paths of the files from :func:`stream_outputs`.
        opacity: Opacity of the classes over the frames, 0 to 1.
        suffix: Suffix of the maps of confidence.
        browser: Whether the video must play in browsers.
        max_frames: Number of results after which to stop; 0 sets no limit.
        on_frame: Function that is called after each result.
    """
    confidence = 'probability' in paths
    with contextlib.ExitStack() as files, stop_on_interrupt(reader.stop):
        writer = StreamWriter(files, paths, reader, runtime, opacity, suffix, browser)
        return run_chain(
            reader,
            runtime,
            lambda frame: predict(runtime, frame, confidence),
            writer.write,
            max_frames,
            on_frame,
        )
