"""Reads images and videos of a user, and writes videos."""

import contextlib
import os
import os.path as osp
import tempfile
from collections.abc import Iterator
from functools import cache

import cv2
import mmcv
import numpy as np

from .tooling import atomic_file

# FFmpeg reads this when it is first used. Its own messages name neither file nor address; the
# errors of this package do.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.webm')
# H.264, MPEG-4 part 2 and VP8; browsers do not play the second.
VIDEO_FORMATS = (('.mp4', 'avc1'), ('.mp4', 'mp4v'), ('.webm', 'VP80'))

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG', b'IEND'


def mask_dtype(ids: int) -> type[np.generic]:
    """Choose the dtype of a mask with the ids from 0 to ``ids - 1``: uint8 or uint16.

    In a mask of 8 bits, 255 is the label that training and evaluation ignore, so it is no class.
    """
    return np.uint8 if ids <= 255 else np.uint16


def check_whole(data: bytes, path: str) -> None:
    """Raise a ValueError if an encoded JPEG or PNG is empty or cut off.

    Decoders fill the missing part of a truncated JPEG with gray and go on. Any bytes may follow the
    end: phones append a short video to a photo.
    """
    for start, end in ((JPEG_START, JPEG_END), (PNG_START, PNG_END)):
        header = _jpeg_header(data) if start == JPEG_START else 0
        if data.startswith(start) and data.rfind(end, header) < 0:
            raise ValueError(
                f'{path} is truncated: {len(data):,} bytes without an end; copy it again'
            )
    if not data:
        raise ValueError(f'{path} is empty; copy it again')


def _jpeg_header(data: bytes) -> int:
    """Return the length of the header of a JPEG, in which a thumbnail has an end of its own."""
    at = len(JPEG_START)
    while data[at : at + 1] == b'\xff' and data[at + 1 : at + 2] not in (b'\xda', b''):
        # A marker may be preceded by more bytes of 255, and is followed by the length of its data.
        filled = data[at + 1] == 255
        at += 1 if filled else 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    return at


def read_image(
    path: str, color_type: str = 'color', imdecode_backend: str | None = None
) -> np.ndarray:
    """Read an image as (H, W, 3) uint8, BGR, or as the options of ``LoadImageFromFile`` say.

    Args:
        path: Path of the file.
        color_type: For example ``'unchanged'``, which keeps all channels and 16 bits.
        imdecode_backend: For example ``'tifffile'``; None takes mmcv's default.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, is cut off or is not an image that OpenCV can decode.
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
    """Convert an image (H, W) or (H, W, C) of any type to (H, W, 3) uint8, BGR, for display.

    An image with more than three channels shows the first three. An image with fewer channels shows
    the first as gray. Types other than uint8 are stretched from their smallest to their largest
    value.
    """
    image = image if image.ndim == 3 else image[..., None]
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2)
    if image.dtype != np.uint8:
        image = image.astype(np.float32) - np.min(image)
        image = np.rint(image * (255 / max(float(image.max()), 1e-6))).astype(np.uint8)
    return image


def is_video(path: str) -> bool:
    """Return whether a file name has the suffix of a video."""
    return path.lower().endswith(VIDEO_SUFFIXES)


@cache
def video_format(browser: bool = False) -> tuple[str, str]:
    """Find suffix and FourCC of the first video format that OpenCV can write here.

    Args:
        browser: Consider only formats that browsers play.

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
def write_video(path: str, size: tuple[int, int], rate: float, browser: bool = False) -> Iterator:
    """Open a ``cv2.VideoWriter``.

    The file appears when everything is written, and not at all after an error.

    Args:
        path: Path of the file, with the suffix of :func:`video_format`.
        size: (width, height) of a frame.
        rate: Frames per second.
        browser: See :func:`video_format`.

    Raises:
        ValueError: The encoder does not take that size.
    """
    with atomic_file(path, osp.splitext(path)[1]) as temporary:
        writer = _open_writer(temporary, video_format(browser)[1], rate, size)
        try:
            if not writer.isOpened():
                raise ValueError(f'{path} cannot be written: its encoder refuses {size} pixels')
            yield writer
        finally:
            writer.release()


def _open_writer(path: str, code: str, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    """Open a writer and hide what FFmpeg prints on stderr about encoders."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, 'wb') as nothing:
            os.dup2(nothing.fileno(), 2)
        return cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), rate, size)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
