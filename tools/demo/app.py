"""A page to try a model on: an image or a short video in; classes, flow and gate out.

    python tools/demo/app.py --config configs/sfnet_lite_stdc1_miniuds.py --checkpoint model.pth

On the loopback (the default), config and checkpoint can be changed on the page. On another
``--host`` they are those of the command line, and the page takes no paths and no addresses.
"""

import argparse
import glob
import hashlib
import ipaddress
import os
import os.path as osp
import tempfile
import time
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmseg.apis import inference_model

from sfnet_mm.config_files import WEIGHTS, config_path, weights_path
from sfnet_mm.mini_uds.domains import DOMAINS
from sfnet_mm.mini_uds.scene import paint_scene
from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.utils.media import open_video, read_frames, read_image, video_format, write_video
from sfnet_mm.utils.tooling import require
from sfnet_mm.visualization import (
    AlignmentRecorder,
    alignment_rows,
    class_shares,
    draw_sheet,
    overlay,
    save_png,
)

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
RUNTIMES = ('torch', 'onnxruntime', 'openvino')
MAX_FRAMES = 200
MAX_PIXELS = 2**24  # of an image or a frame: 4096 x 4096
MAX_UPLOAD = '100mb'


@lru_cache(maxsize=1)
def private_folder() -> str:
    """A new folder that only this user can enter; it is removed when the page ends."""
    private_folder.kept = tempfile.TemporaryDirectory(prefix='sfnet_mm_')
    return private_folder.kept.name


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a page that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def read_upload(path: str) -> np.ndarray:
    """Decode an uploaded image to (H, W, 3) uint8, RGB, unless it is too large.

    Raises:
        ValueError: No image, or one of more than ``MAX_PIXELS``.
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
    """Raise a ``ValueError`` for an image of more than ``MAX_PIXELS``."""
    if width * height > MAX_PIXELS:
        raise ValueError(
            f'{width}x{height} pixels are too many for the page: at most {MAX_PIXELS / 1e6:.1f} '
            'million; use tools/demo/predict.py'
        )


@lru_cache(maxsize=4)
def load(config: str, checkpoint: str, runtime: str) -> tuple:
    """The model of torch, for its flow, and the runtime that makes the mask."""
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
    """Overlay, sheet of flows and gate (None without flow), class shares and a line on the time."""
    model, run = load(config, checkpoint.strip(), runtime)
    bgr = np.ascontiguousarray(image[..., ::-1])
    mask = run.predict(bgr)
    begin = time.perf_counter()
    mask = run.predict(bgr)
    spent = 1000 * (time.perf_counter() - begin)
    with AlignmentRecorder(model) as recorder:
        result = inference_model(model, bgr)
    image = run.shown(image)
    size = result.metainfo.get('img_shape', image.shape)[:2]
    rows = alignment_rows(recorder.first_pass(), 0, 420, size)
    sheet = draw_sheet('semantic flow', rows) if rows else None
    line = f'{spent:.0f} ms per image of {image.shape[1]}x{image.shape[0]} pixels ({run.name})'
    return overlay(image, mask, run.palette), sheet, class_shares(mask, run.classes), line


def segment_upload(path: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """:func:`segment_image` of an uploaded file."""
    return segment_image(read_upload(path), config, checkpoint, runtime)


def segment_video(path: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """A video with the classes over it, and a line on the time per frame."""
    if not path:
        raise ValueError('choose a video first')
    _, run = load(config, checkpoint.strip(), runtime)
    video = open_video(path)
    check_pixels(video.width, video.height)
    folder = tempfile.mkdtemp(dir=private_folder())
    out = osp.join(folder, f'classes{video_format(browser=True)[0]}')
    palette = [colour[::-1] for colour in run.palette]
    times = []
    with write_video(out, video, browser=True) as writer:
        for frame in read_frames(video):
            begin = time.perf_counter()
            mask = run.predict(frame)
            times.append(time.perf_counter() - begin)
            writer.write(overlay(frame, mask, palette))
            if len(times) == MAX_FRAMES:
                break
    return out, f'{1000 * np.median(times):.0f} ms per frame, {len(times)} frames ({run.name})'


def build_app(config: str, checkpoint: str, local: bool = True) -> Any:
    """The page.

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint; empty for random weights.
        local: Let the page change both. Only for a page that no other machine reaches.

    Raises:
        ImportError: Gradio is not installed; says how to install it.
    """
    # Where gradio keeps uploads and pictures; it reads this when it is imported.
    os.environ['GRADIO_TEMP_DIR'] = osp.join(private_folder(), 'gradio')
    gr = require('gradio', 'pip install -r requirements/demo.txt')

    def shown(function):
        """Errors of the model become a line on the page."""

        def call(source, runtime, *settings):
            try:
                return function(source, *(settings or (config, checkpoint)), runtime)
            except (OSError, ValueError, ImportError, RuntimeError) as e:
                raise gr.Error(str(e).split('\n')[0]) from None

        return call

    def uploaded(component):
        """The component without gradio's habit of fetching an address given for a file."""
        move = component.async_move_resource_to_block_cache

        async def move_file(path):
            if '://' in str(path):
                raise gr.Error('the page takes uploaded files, no addresses')
            return await move(path)

        component.async_move_resource_to_block_cache = move_file
        return component

    samples = sample_images()
    with gr.Blocks(title='SFNet', analytics_enabled=False, delete_cache=(3600, 3600)) as app:
        gr.Markdown('# SFNet: segmentation and its semantic flow')
        with gr.Row():
            info = 'the first image of a runtime other than torch waits for its export'
            runtime = gr.Radio(RUNTIMES, value='torch', label='runtime', info=info)
            settings = [runtime]
            if local:
                found = glob.glob(osp.join(ROOT, 'configs', 'sfnet_*.py'))
                choices = [(osp.basename(c), c) for c in sorted({*found, config})]
                settings += [
                    gr.Dropdown(choices, value=config, label='config'),
                    gr.Textbox(checkpoint, label='checkpoint (empty: random weights)'),
                ]
        with gr.Tab('image'):
            with gr.Row():
                image = gr.Image(samples[0], type='filepath', image_mode=None, label='image')
                result = gr.Image(label='classes')
            gr.Examples(samples, uploaded(image))
            button = gr.Button('Segment', variant='primary', elem_id='segment')
            spent = gr.Textbox(label='time', elem_id='time')
            with gr.Row():
                flow = gr.Image(label='flow and gate', scale=3)
                shares = gr.Label(label='class shares', num_top_classes=8, scale=1)
            outputs = [result, flow, shares, spent]
            button.click(shown(segment_upload), [image, *settings], outputs, api_name='image')
        with gr.Tab('video'):
            with gr.Row():
                video, drawn = uploaded(gr.Video(label='video')), gr.Video(label='classes')
            frame_time = gr.Textbox(label='time')
            gr.Button('Segment').click(
                shown(segment_video), [video, *settings], [drawn, frame_time], api_name='video'
            )
    return app.queue(api_open=False, max_size=16, default_concurrency_limit=1)


def sample_images() -> list:
    """Paths of a drawn street scene of each domain of mini-UDS."""
    paths = []
    for i, domain in enumerate(DOMAINS):
        scene = paint_scene(domain, np.random.default_rng([7, i]), 0)
        path = osp.join(private_folder(), f'{domain.name}.png')
        paths.append(save_png(path, np.ascontiguousarray(scene.image)))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description='A page to try a model on')
    parser.add_argument(
        '--config', help='default: the model that comes with the package (weights/README.md)'
    )
    parser.add_argument(
        '--checkpoint', default='', help='of --config; without it, random weights are shown'
    )
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 lets other machines in')
    parser.add_argument('--port', type=int, default=7860)
    args = parser.parse_args()
    try:
        if args.config is None:
            args.config, args.checkpoint = config_path(WEIGHTS['camvid']), weights_path('camvid')
        load_model(args.config, args.checkpoint or None)
        build_app(args.config, args.checkpoint, is_loopback(args.host)).launch(
            server_name=args.host, server_port=args.port, share=False, max_file_size=MAX_UPLOAD
        )
    except (OSError, ValueError, ImportError) as e:
        raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
