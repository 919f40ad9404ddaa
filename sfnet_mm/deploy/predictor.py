"""Writes the predictions for images, videos and streams unless they exist already."""

import os.path as osp
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.progress import Progress

from sfnet_mm.utils.made_files import MadeFiles, file_digest
from sfnet_mm.utils.media import read_image

from .prediction import check_confidence, predict
from .runtimes import Runtime
from .streams import (
    FrameReader,
    Source,
    image_outputs,
    segment_stream,
    stream_outputs,
    write_image,
)

# These kinds of results are written by default.
IMAGE_KINDS, VIDEO_KINDS = ('masks', 'overlay'), ('overlay',)


def output_names(
    images: Iterable[str], videos: Iterable[str], save: Sequence[str] | None, suffix: str
) -> list[str]:
    """List the names of all files and folders that :class:`Predictor` would write."""
    names = [image_outputs(name, save or IMAGE_KINDS, suffix) for name in images]
    names += [stream_outputs(name, save or VIDEO_KINDS) for name in videos]
    return [name for found in names for name in found.values()]


class Predictor:
    """Writes the predictions of a runtime unless they exist already.

    Args:
        runtime: The model.
        out_dir: Folder of the results.
        made_of: All that the results depend on besides the input, such as the weights.
        save: Kinds of results, some of ``streams.KINDS``. None takes ``IMAGE_KINDS`` and
            ``VIDEO_KINDS``.
        suffix: Suffix of the maps of confidence, ``'png'`` (8 bits) or ``'npy'``.
        opacity: Opacity of the classes over the image, 0 to 1.
        max_frames: Largest number of frames of a video or stream; 0 sets no limit.
        timeout: Seconds that an address may take to answer.
        attempts: Number of attempts to connect again after an interruption.

    Attributes:
        written, kept: Numbers of inputs whose results were written, and whose results existed.
        stopped: Whether the user stopped a stream.

    Raises:
        ValueError: A kind is unknown, or confidence was chosen for a graph that ends in classes.
    """

    def __init__(
        self,
        runtime: Runtime,
        out_dir: str,
        made_of: dict[str, Any],
        save: Sequence[str] | None = None,
        suffix: str = 'png',
        opacity: float = 0.5,
        max_frames: int = 0,
        timeout: float = 10.0,
        attempts: int = 5,
    ) -> None:
        if save and 'confidence' in save:
            check_confidence(runtime)
        self.runtime, self.out_dir, self.opacity = runtime, out_dir, opacity
        self.save, self.suffix, self.max_frames = save, suffix, max_frames
        self.timeout, self.attempts = timeout, attempts
        self.made_of = dict(made_of, opacity=opacity, max_frames=max_frames, suffix=suffix)
        self.made_files = MadeFiles(out_dir)
        self.written = self.kept = 0
        self.stopped = False

    def image(self, name: str, path: str, progress: Progress) -> None:
        """Write the results of an image."""

        def make(paths: dict[str, str]) -> bool:
            image = read_image(path, **self.runtime.loading)
            found = predict(self.runtime, image, 'probability' in paths)
            write_image(paths, image, found, self.runtime, self.opacity)
            return True

        self._make(image_outputs(name, self.save or IMAGE_KINDS, self.suffix), path, make)

    def video(self, name: str, path: str, progress: Progress) -> None:
        """Write the results of a video."""
        if not self.stopped:
            names = stream_outputs(name, self.save or VIDEO_KINDS)
            self._make(
                names, path, lambda paths: self._stream(Source('file', path), paths, progress)
            )

    def stream(self, source: Source, progress: Progress) -> None:
        """Write the results of a camera or an address to files with the start time in their names.

        Raises:
            ValueError: The stream broke off for good. The results until then are written.
        """
        if not self.stopped:
            name = f'{source.name}_{time.strftime("%Y%m%d_%H%M%S")}'
            names = stream_outputs(name, self.save or VIDEO_KINDS)
            self._stream(source, self._paths(names), progress)
            self.written += 1

    def _paths(self, names: dict[str, str]) -> dict[str, str]:
        return {what: osp.join(self.out_dir, name) for what, name in names.items()}

    def _make(
        self, names: dict[str, str], path: str, make: Callable[[dict[str, str]], bool]
    ) -> None:
        files = list(names.values())
        try:
            made_of = dict(self.made_of, input=file_digest(path))
        except OSError as e:  # Any other OSError comes from the folder of the results.
            raise ValueError(f'{path} cannot be read: {e.strerror}') from None
        if self.made_files.has(files, made_of):
            self.kept += 1
            return
        self.made_files.begin(files)
        if make(self._paths(names)):
            self.made_files.finish(files, made_of)
        self.written += 1

    def _stream(self, source: Source, paths: dict[str, str], progress: Progress) -> bool:
        """Segment a stream and return whether it came to its end."""
        reader = FrameReader(source, self.timeout, self.attempts)
        total = min(reader.total or self.max_frames, self.max_frames or reader.total) or None
        task = progress.add_task('frames', total=total)
        try:
            summary = segment_stream(
                reader,
                self.runtime,
                paths,
                self.opacity,
                self.suffix,
                max_frames=self.max_frames,
                on_frame=lambda: progress.advance(task),
            )
        finally:
            progress.remove_task(task)
        print(summary.count_line())
        print(summary.speed_line())
        if summary.problem:
            raise ValueError(summary.problem)
        self.stopped = summary.stopped
        return not summary.stopped
