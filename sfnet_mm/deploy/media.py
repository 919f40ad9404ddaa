"""Images, folders of images and videos that come from a user."""

import os
import os.path as osp
from typing import Iterable, List, Sequence

import cv2
import mmcv
import numpy as np

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.webm')


def list_images(paths: Sequence[str]) -> List[str]:
    """Paths of images; a folder stands for the images in it, sorted by name.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: A folder without images, or no path at all.
    """
    found: List[str] = []
    for path in paths:
        if osp.isdir(path):
            names = sorted(n for n in os.listdir(path) if n.lower().endswith(IMAGE_SUFFIXES))
            if not names:
                raise ValueError(f'folder {path} holds no image ({", ".join(IMAGE_SUFFIXES)})')
            found.extend(osp.join(path, n) for n in names)
        elif osp.isfile(path):
            found.append(path)
        else:
            raise FileNotFoundError(f'image {path} does not exist')
    if not found:
        raise ValueError('no image was given')
    return found


def is_video(path: str) -> bool:
    """Whether the name of a file is that of a video."""
    return path.lower().endswith(VIDEO_SUFFIXES)


def read_image(path: str) -> np.ndarray:
    """Read an image as (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an image that OpenCV can decode.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'image {path} does not exist')
    try:
        image = mmcv.imread(path)
    except (cv2.error, OSError, ValueError):
        image = None
    if image is None:
        raise ValueError(f'image {path} cannot be decoded: it is damaged or not an image')
    return image


def read_label(path: str) -> np.ndarray:
    """Read a label map as (H, W) class indices; 255 is ignored.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no image, or one of colours instead of indices.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'label {path} does not exist')
    label = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if label is None or label.ndim != 2:
        raise ValueError(f'label {path} is not an image of one channel of class indices')
    return label


def open_video(path: str) -> mmcv.VideoReader:
    """Open a video whose first frame can be decoded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or not a video.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'video {path} does not exist')
    video = mmcv.VideoReader(path)
    if not video.opened or video.frame_cnt < 1 or video.read() is None:
        raise ValueError(f'video {path} cannot be decoded: it is damaged or not a video')
    video.vcap.set(cv2.CAP_PROP_POS_FRAMES, 0)
    return mmcv.VideoReader(path)


def read_frames(video: mmcv.VideoReader) -> Iterable[np.ndarray]:
    """Frames (H, W, 3) uint8, BGR, until the end or the first frame that cannot be decoded."""
    while True:
        frame = video.read()
        if frame is None:
            return
        yield frame


def video_writer(path: str, like: mmcv.VideoReader) -> cv2.VideoWriter:
    """A writer of a .webm (VP8) with the size and the rate of another video.

    Raises:
        ValueError: OpenCV has no encoder for it, or the file cannot be written.
    """
    codec = cv2.VideoWriter_fourcc(*'VP80')
    writer = cv2.VideoWriter(path, codec, like.fps or 25, (like.width, like.height))
    if not writer.isOpened():
        raise ValueError(f'{path} cannot be written: OpenCV has no VP8 encoder, or no such folder')
    return writer
