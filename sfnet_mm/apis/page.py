"""Segments images, videos and cameras for the demo page (``tools/demo/app.py``)."""

import hashlib
import ipaddress
import os.path as osp
import tempfile
from functools import lru_cache

import numpy as np
from mmseg.apis import inference_model
from PIL import Image

from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.deploy.streams import (
    FrameReader,
    Source,
    is_stream,
    parse_source,
    segment_stream,
    stream_outputs,
)
from sfnet_mm.mini_uds.domains import DOMAINS
from sfnet_mm.mini_uds.scene import paint_scene
from sfnet_mm.utils.media import read_image
from sfnet_mm.utils.timer import Timer
from sfnet_mm.visualization import (
    AlignmentRecorder,
    alignment_rows,
    class_shares,
    draw_sheet,
    overlay,
    save_png,
)

MAX_FRAMES = 200
MAX_PIXELS = 2**24  # This is the limit for an image or a frame: 4096 x 4096.
# These are the first bytes of AVI, Matroska and WebM, MPEG program and video streams and Ogg, and
# bytes 5 to 8 of MP4.
CONTAINERS = (b'RIFF', b'\x1a\x45\xdf\xa3', b'\0\0\1\xba', b'\0\0\1\xb3', b'OggS')
QUICKTIME_ATOMS = (b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip')


@lru_cache(maxsize=1)
def private_folder() -> str:
    """Make a folder that only this user can enter; it is removed when the page ends."""
    private_folder.kept = tempfile.TemporaryDirectory(prefix='sfnet_mm_')
    return private_folder.kept.name


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a page that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def read_upload(path: str) -> np.ndarray:
    """Decode an uploaded image to (H, W, 3) uint8, RGB, unless it is too large.

    Raises:
        ValueError: The file is not an image, or has more than ``MAX_PIXELS`` pixels.
    """
    if not path:
        raise ValueError('choose an image first')
    try:
        with Image.open(path) as image:  # reads the header only
            check_pixels(*image.size)
    except (OSError, Image.DecompressionBombError):
        raise ValueError('the image cannot be decoded, or it is too large') from None
    return np.ascontiguousarray(read_image(path)[..., ::-1])


def check_pixels(width: int, height: int) -> None:
    """Raise a ``ValueError`` for an image of more than ``MAX_PIXELS`` pixels."""
    if width * height > MAX_PIXELS:
        raise ValueError(
            f'{width}x{height} pixels are too many for the page: at most {MAX_PIXELS / 1e6:.1f} '
            'million; use tools/demo/predict.py'
        )


@lru_cache(maxsize=4)
def load(config: str, checkpoint: str, runtime: str) -> tuple:
    """Load the torch model, which gives the flow, and the runtime that makes the mask."""
    model = load_model(config, checkpoint or None)
    if runtime == 'torch':
        return model, load_runtime('torch', config, checkpoint or None)
    stamp = osp.getmtime(checkpoint) if checkpoint else 'random'
    digest = hashlib.sha256(f'{osp.abspath(config)} {checkpoint} {stamp}'.encode()).hexdigest()
    path = osp.join(private_folder(), f'{digest[:16]}_{runtime}.onnx')
    if not osp.isfile(path):
        print(f'exporting the model for {runtime}, once in a run of the page')
        export_onnx(model, path, (256, 512), dynamic=True, runtime=runtime)
    return model, load_runtime(runtime, path)


def segment_image(image: np.ndarray, config: str, checkpoint: str, runtime: str) -> tuple:
    """Return overlay, sheet of flows and gate (or None), class shares and a line on the time."""
    model, run = load(config, checkpoint.strip(), runtime)
    bgr = np.ascontiguousarray(image[..., ::-1])
    mask = run.predict(bgr)
    with Timer() as timer:
        run.predict(bgr)
    with AlignmentRecorder(model) as recorder:
        result = inference_model(model, bgr)
    image = run.shown(image)
    size = result.metainfo.get('img_shape', image.shape)[:2]
    rows = alignment_rows(recorder.first_pass(), 0, 420, size)
    sheet = draw_sheet('semantic flow', rows) if rows else None
    height, width = image.shape[:2]
    line = f'{timer.milliseconds:.0f} ms per image of {width}x{height} pixels ({run.name})'
    return overlay(image, mask, run.palette), sheet, class_shares(mask, run.classes), line


def segment_upload(path: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """Call :func:`segment_image` for an uploaded file."""
    return segment_image(read_upload(path), config, checkpoint, runtime)


def check_container(path: str) -> None:
    """Raise a ``ValueError`` unless an uploaded file is a video itself.

    FFmpeg also opens lists of files and addresses, whatever their suffix, and reads what they name.
    """
    with open(path, 'rb') as file:
        head = file.read(12)
    if not head.startswith(CONTAINERS) and head[4:8] not in QUICKTIME_ATOMS:
        raise ValueError('the file is not a video of AVI, MP4, MOV, MKV, WebM, MPEG or Ogg')


def segment_video(path: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """Write a video with the classes over it, and return a line on the time of its frames."""
    if not path:
        raise ValueError('choose a video first')
    check_container(path)
    return _segment(Source('file', path), config, checkpoint, runtime)


def segment_camera(text: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """Do the same as :func:`segment_video` for a typed camera number or address.

    This is only for a page that no other machine can reach, since it opens any address.
    """
    if not is_stream(text.strip()):
        raise ValueError('give the number of a camera, or an rtsp:// or http:// address')
    return _segment(parse_source(text.strip()), config, checkpoint, runtime)


def _segment(source: Source, config: str, checkpoint: str, runtime: str) -> tuple:
    _, run = load(config, checkpoint.strip(), runtime)
    reader = FrameReader(source)
    check_pixels(reader.width, reader.height)
    folder = tempfile.mkdtemp(dir=private_folder())
    path = osp.join(folder, stream_outputs('frames', ['overlay'], browser=True)['overlay'])
    summary = segment_stream(reader, run, {'overlay': path}, browser=True, max_frames=MAX_FRAMES)
    return path, f'{summary.processed} frames ({run.name}): {summary.speed_line()}'


def sample_images() -> list:
    """Return the paths of one drawn street scene of each domain of mini-UDS."""
    paths = []
    for i, domain in enumerate(DOMAINS):
        scene = paint_scene(domain, np.random.default_rng([7, i]), 0)
        path = osp.join(private_folder(), f'{domain.name}.png')
        paths.append(save_png(path, np.ascontiguousarray(scene.image)))
    return paths
