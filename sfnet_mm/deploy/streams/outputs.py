"""Writes masks, overlays, confidence and class shares of images and of the frames of streams."""

import contextlib
import json
import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from sfnet_mm.utils.media import as_picture, video_format, write_video
from sfnet_mm.utils.tooling import atomic_file, atomic_folder, write_text
from sfnet_mm.visualization import class_shares, overlay, save_png

from ..prediction import Prediction, save_confidence
from ..runtimes import Runtime
from .reader import FrameReader
from .summary import StageTimes

KINDS = ('masks', 'overlay', 'confidence', 'json')


def image_outputs(name: str, kinds: Sequence[str], suffix: str = 'png') -> dict[str, str]:
    """Map each kind of result to the name of its file for an image.

    Args:
        name: Name of the image.
        kinds: Kinds of results, some of ``KINDS``.
        suffix: Suffix of the maps of confidence, ``'png'`` or ``'npy'``.
    """
    files = dict(
        masks={'mask': 'mask.png'},
        overlay={'overlay': 'overlay.png'},
        confidence={'probability': f'confidence.{suffix}', 'margin': f'margin.{suffix}'},
        json={'shares': 'shares.json'},
    )
    return {what: f'{name}_{file}' for kind in kinds for what, file in files[kind].items()}


# The results that have a path.
RESULTS = tuple(image_outputs('', KINDS))


def stream_outputs(name: str, kinds: Sequence[str], browser: bool = False) -> dict[str, str]:
    """Do the same as :func:`image_outputs` for a video, with folders for masks and confidence."""
    files = image_outputs(name, kinds, '')
    folders = dict(mask='masks', probability='confidence', margin='margin')
    files.update((what, f'{name}_{folders[what]}') for what in files if what in folders)
    if 'overlay' in files:
        files['overlay'] = f'{name}_overlay{video_format(browser)[0]}'
    return files


def write_image(
    paths: dict[str, str], image: np.ndarray, found: Prediction, runtime: Runtime, opacity: float
) -> None:
    """Write the results of an image.

    Args:
        paths: Paths of the files from :func:`image_outputs`.
        image: (H, W, C) as it was loaded.
        found: Prediction for the image.
        runtime: The model, which has the classes and the palette.
        opacity: Opacity of the classes over the image, 0 to 1.
    """
    for what, path in paths.items():
        if what == 'mask':
            save_png(path, found.mask)
        elif what == 'overlay':
            shown = as_picture(runtime.shown(image))[..., ::-1]
            save_png(path, overlay(shown, found.mask, runtime.palette, opacity))
        elif what == 'shares':
            write_text(path, json.dumps(class_shares(found.mask, runtime.classes)) + '\n')
        else:
            save_confidence(path, getattr(found, what))


class StreamWriter:
    """Writes the results of frames. The files get their names when ``files`` ends without an error.

    Args:
        files: Stack that closes the files.
        paths: Paths of the files from :func:`stream_outputs`.
        reader: Reader that knows size and rate. If frames of a live stream are missing, the video
            shows the frame before them for longer, so that it is as long as the stream was.
        runtime: The model, which has the classes and the palette.
        opacity: Opacity of the classes over the frames, 0 to 1.
        suffix: Suffix of the maps of confidence.
        browser: Whether the video must play in browsers.

    Raises:
        ValueError: A key of ``paths`` is none of ``RESULTS``.
    """

    def __init__(
        self,
        files: contextlib.ExitStack,
        paths: dict[str, str],
        reader: FrameReader,
        runtime: Runtime,
        opacity: float = 0.5,
        suffix: str = 'png',
        browser: bool = False,
    ) -> None:
        unknown = [what for what in paths if what not in RESULTS]
        if unknown:
            raise ValueError(f'result {unknown[0]!r} is not one of {", ".join(RESULTS)}')
        self.rate, self.live, self.opacity = reader.rate, reader.live, opacity
        self.classes = runtime.classes
        self.palette = [color[::-1] for color in runtime.palette]
        self._next = 0
        self._shares = self._video = None
        self._folders: dict[str, tuple[str, str]] = {}
        for what, path in paths.items():
            if what == 'overlay':
                video = write_video(path, (reader.width, reader.height), self.rate, browser)
                self._video = files.enter_context(video)
            elif what == 'shares':
                self._shares = files.enter_context(_JsonList.write(path))
            else:
                kind = 'png' if what == 'mask' else suffix
                self._folders[what] = files.enter_context(atomic_folder(path)), kind

    def write(self, number: int, frame: np.ndarray, found: Prediction, times: StageTimes) -> None:
        """Write the results of a frame (H, W, 3), BGR.

        Raises:
            ValueError: Frame and mask differ in size.
        """
        if found.mask.shape != frame.shape[:2]:
            raise ValueError(
                'the test pipeline of the config crops its frames, take the cropping out of '
                'test_pipeline'
            )
        if self._video:
            with times.measure('draw'):
                drawn = overlay(frame, found.mask, self.palette, self.opacity)
        with times.measure('write'):
            for what, (folder, suffix) in self._folders.items():
                path = osp.join(folder, f'{number:06}.{suffix}')
                (save_png if what == 'mask' else save_confidence)(path, getattr(found, what))
            if self._shares:
                shares = class_shares(found.mask, self.classes)
                seconds = round(number / self.rate, 3)
                self._shares.add(dict(frame=number, seconds=seconds, shares=shares))
            if self._video:
                for _ in range(number + 1 - self._next if self.live else 1):
                    self._video.write(drawn)
        self._next = number + 1


class _JsonList:
    """A JSON file with a list that is written item by item, one line for each item."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.between = file, '\n'

    @classmethod
    @contextlib.contextmanager
    def write(cls, path: str) -> Iterator['_JsonList']:
        with atomic_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
            file.write('[')
            yield cls(file)
            file.write('\n]\n')

    def add(self, item: Any) -> None:
        self.file.write(self.between + json.dumps(item))
        self.between = ',\n'
