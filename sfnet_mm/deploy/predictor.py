"""Writes what a model predicts of images, videos and streams, and makes nothing twice."""

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

# What is written unless it is chosen.
IMAGE_KINDS, VIDEO_KINDS = ('masks', 'overlay'), ('overlay',)


def output_names(
    images: Iterable[str], videos: Iterable[str], save: Sequence[str] | None, suffix: str
) -> list[str]:
    """Names of all that is written for images and videos; see :class:`Predictor`."""
    names = [image_outputs(name, save or IMAGE_KINDS, suffix) for name in images]
    names += [stream_outputs(name, save or VIDEO_KINDS) for name in videos]
    return [name for found in names for name in found.values()]


class Predictor:
    """Writes what a runtime predicts, unless it is there already.

    Args:
        runtime: The model.
        out_dir: Where to write.
        made_of: What decides on the result beside the input.
        save: Some of ``streams.KINDS``; None for ``IMAGE_KINDS`` and ``VIDEO_KINDS``.
        suffix: Suffix of the maps of confidence, ``'png'`` (8 bits) or ``'npy'``.
        opacity: Opacity of the classes over the image, 0 to 1.
        max_frames: Largest number of frames of a video or stream; 0 for all.
        timeout: Seconds that an address may take to answer.
        attempts: To connect again after an interruption.

    Attributes:
        written, kept: How many inputs.
        stopped: Whether the user stopped a stream.

    Raises:
        ValueError: An unknown kind, or confidence of a graph that ends in classes.
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
        """Write the results of a camera or an address, in files that have the time in their names.

        Raises:
            ValueError: It broke off for good; what came before is written.
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
        made_of = dict(self.made_of, input=file_digest(path))
        if self.made_files.has(files, made_of):
            self.kept += 1
            return
        self.made_files.begin(files)
        if make(self._paths(names)):
            self.made_files.finish(files, made_of)
        self.written += 1

    def _stream(self, source: Source, paths: dict[str, str], progress: Progress) -> bool:
        """Whether it was segmented to its end."""
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
