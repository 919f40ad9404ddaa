"""Parses and opens the sources of frames: cameras, addresses and video files."""

import http.client
import os.path as osp
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import cv2

import sfnet_mm.utils.media  # noqa: F401  makes FFmpeg silent
from sfnet_mm.utils.file_names import NameCollision
from sfnet_mm.utils.tooling import file_stem, first_line

PORTS = {'rtsp': 554, 'rtsps': 322, 'http': 80, 'https': 443}


@dataclass(frozen=True)
class Source:
    """A camera, an address or a video file.

    Attributes:
        kind: ``'camera'``, ``'address'`` or ``'file'``.
        text: Number of the camera, complete address, or path.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        """Return the name for messages, without the password and the query of an address."""
        if self.kind != 'address':
            return f'{self.kind if self.kind == "camera" else "video"} {self.text}'
        parts = urlsplit(self.text)
        return f'{parts.scheme}://{parts.netloc.rpartition("@")[2]}{parts.path}'

    @property
    def name(self) -> str:
        """The name for the files of the results."""
        if self.kind == 'file':
            return file_stem(self.text)
        if self.kind == 'camera':
            return f'camera_{self.text}'
        parts = urlsplit(self.text)
        path = osp.splitext(parts.path)[0]
        return re.sub(r'\W+', '_', f'{parts.hostname}_{parts.port or ""}{path}').strip('_')


def parse_source(text: str) -> Source:
    """Parse the source that a user names. Digits are a camera unless a file has that name.

    Raises:
        ValueError: An address has another scheme than RTSP or HTTP.
    """
    if '://' in text:
        try:
            parts = urlsplit(text)
            known = parts.scheme in PORTS and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or re.search(r'\s', text):
            schemes = ', '.join(f'{scheme}://' for scheme in PORTS)
            shown = re.split('[?#]', text.split('@')[-1])[0]
            raise ValueError(
                f'address {shown} is not {schemes} with a host behind it (a space is %20)'
            )
        return Source('address', text)
    camera = text.isascii() and text.isdigit() and not osp.exists(text)
    return Source('camera' if camera else 'file', text)


def is_stream(text: str) -> bool:
    """Return whether a text names a camera or an address, and not a file."""
    return '://' in text or parse_source(text).kind != 'file'


def name_streams(texts: Iterable[str]) -> dict[str, Source]:
    """Map the name of each camera or address to its source.

    Raises:
        NameCollision: Two addresses differ only in what their names leave out, such as the query.
    """
    streams: dict[str, Source] = {}
    for source in map(parse_source, texts):
        if streams.setdefault(source.name, source) != source:
            raise NameCollision(
                f'two addresses would both be written as {source.name}, the latter is {source}: '
                'give each a run of its own'
            )
    return streams


def open_capture(source: Source, timeout: float = 10.0) -> cv2.VideoCapture:
    """Open a source of frames.

    Args:
        source: Source to open.
        timeout: Seconds that an address may take to answer, and then between two frames.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The camera does not exist, the address does not answer, or the data are no
            video.
    """
    if source.kind == 'file' and not osp.isfile(source.text):
        raise FileNotFoundError(f'{source} does not exist')
    # The messages that OpenCV prints do not name the source.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = _open(source, int(1000 * timeout))
    except cv2.error:  # For example the number of a camera is too large.
        capture = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture is not None and capture.isOpened():
        return capture
    if source.kind == 'camera':
        raise ValueError(f'{source} is not there, or another program uses it: try another number')
    if source.kind == 'file':
        raise ValueError(f'{source} cannot be decoded: it is damaged or not a video')
    raise ValueError(_connection_problem(source, timeout))


def _open(source: Source, milliseconds: int) -> Any:
    if source.kind == 'camera':
        return cv2.VideoCapture(int(source.text))
    if source.kind == 'file':
        return cv2.VideoCapture(source.text)
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        milliseconds,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        milliseconds,
    ]
    return cv2.VideoCapture(source.text, cv2.CAP_FFMPEG, limits)


def _connection_problem(source: Source, timeout: float) -> str:
    """Find out why an address could not be opened, since OpenCV does not say it."""
    parts = urlsplit(source.text)
    try:
        if parts.scheme.startswith('http') and not parts.username:
            with urllib.request.urlopen(source.text, timeout=timeout):
                pass
        else:
            address = parts.hostname, parts.port or PORTS[parts.scheme]
            socket.create_connection(address, timeout).close()
    except urllib.error.HTTPError as e:
        return f'{source} answers HTTP {e.code} {first_line(e.reason)}'
    except http.client.HTTPException as e:
        return f'{source} does not answer in HTTP: {first_line(e)}'
    except (OSError, ValueError) as e:
        reason = getattr(e, 'reason', e)
        reason = getattr(reason, 'strerror', None) or reason
        return f'{source} does not answer: {reason}'
    return f'{source} is there, but sends no video that OpenCV can decode'
