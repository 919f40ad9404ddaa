"""Images and videos that come from a user, and videos that go to one."""

import contextlib
import os
import os.path as osp
import tempfile
from functools import cache
from typing import Iterator, Optional, Tuple

import cv2
import mmcv
import numpy as np

from .tooling import whole_file

# FFmpeg reads it when it is first used. Its own lines name neither file nor address, and what is
# wrong with them is said here.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.webm')
# H.264, MPEG-4 part 2 and VP8; browsers do not show the second.
VIDEO_FORMATS = (('.mp4', 'avc1'), ('.mp4', 'mp4v'), ('.webm', 'VP80'))

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG', b'IEND'
# Cameras append a few bytes to their JPEGs.
TAIL = 4096


def check_whole(data: bytes, path: str) -> None:
    """Raise a ValueError when an encoded JPEG or PNG is empty or cut off.

    Decoders fill the missing part of a truncated JPEG with gray and go on.
    """
    for start, end in ((JPEG_START, JPEG_END), (PNG_START, PNG_END)):
        if data.startswith(start) and end not in data[-TAIL:]:
            raise ValueError(
                f'{path} is truncated: {len(data):,} bytes without an end; copy it again'
            )
    if not data:
        raise ValueError(f'{path} is empty; copy it again')


def read_image(
    path: str, color_type: str = 'color', imdecode_backend: Optional[str] = None
) -> np.ndarray:
    """Read an image as (H, W, 3) uint8, BGR, or in another way of mmcv's ``LoadImageFromFile``.

    Args:
        path: Of the file.
        color_type: Such as ``'unchanged'``, which keeps all channels and 16 bits.
        imdecode_backend: Such as ``'tifffile'``; None takes mmcv's.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, is cut off or is no image that OpenCV can decode.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'image {path} does not exist')
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as e:
        raise ValueError(f'image {path} cannot be read: {e.strerror}') from None
    check_whole(data, f'image {path}')
    try:
        image = mmcv.imfrombytes(data, flag=color_type, backend=imdecode_backend)
    except (cv2.error, OSError, ValueError):
        image = None
    if image is None:
        raise ValueError(f'image {path} cannot be decoded: it is damaged or not an image')
    return image


def as_picture(image: np.ndarray) -> np.ndarray:
    """An image (H, W) or (H, W, C) of any type as (H, W, 3) uint8, BGR, to be looked at.

    Of more than three channels the first three are shown, and of fewer the first one, gray; other
    types than uint8 are stretched from their smallest to their largest value.
    """
    image = image if image.ndim == 3 else image[..., None]
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2)
    if image.dtype != np.uint8:
        image = image.astype(np.float32) - np.min(image)
        image = np.rint(image * (255 / max(float(image.max()), 1e-6))).astype(np.uint8)
    return image


def is_video(path: str) -> bool:
    """Whether the name of a file is that of a video."""
    return path.lower().endswith(VIDEO_SUFFIXES)


@cache
def video_format(browser: bool = False) -> Tuple[str, str]:
    """Suffix and code of the first video format that OpenCV can write here.

    Args:
        browser: Only formats that browsers show.

    Raises:
        ValueError: OpenCV has no encoder at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        for suffix, code in VIDEO_FORMATS:
            if browser and code == 'mp4v':
                continue
            writer = _open_writer(osp.join(folder, code + suffix), code, 25, (128, 128))
            opened = writer.isOpened()
            writer.release()
            if opened:
                return suffix, code
    raise ValueError(
        'OpenCV has no encoder for .mp4 or .webm: install opencv-python-headless of PyPI'
    )


@contextlib.contextmanager
def write_video(path: str, size: Tuple[int, int], rate: float, browser: bool = False) -> Iterator:
    """A ``cv2.VideoWriter``.

    The file appears when all is written, and not at all after an error.

    Args:
        path: Ends in the suffix of :func:`video_format`.
        size: (width, height) of a frame.
        rate: Frames per second.
        browser: See :func:`video_format`.

    Raises:
        ValueError: The encoder does not take that size.
    """
    with whole_file(path, osp.splitext(path)[1]) as temporary:
        writer = _open_writer(temporary, video_format(browser)[1], rate, size)
        try:
            if not writer.isOpened():
                raise ValueError(f'{path} cannot be written: its encoder takes no {size} pixels')
            yield writer
        finally:
            writer.release()


def _open_writer(path: str, code: str, rate: float, size: Tuple[int, int]) -> cv2.VideoWriter:
    """Open a writer without the lines that FFmpeg prints on stderr about encoders and codes."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, 'wb') as nothing:
            os.dup2(nothing.fileno(), 2)
        return cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), rate, size)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
