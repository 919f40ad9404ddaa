"""A page to try a model on: an image or a short video in; classes, flow and gate out.

python tools/demo/app.py --config configs/sfnet_lite_stdc1_miniuds.py --checkpoint model.pth
"""

import argparse
import glob
import hashlib
import os.path as osp
import tempfile
import time
from functools import lru_cache

import numpy as np
import torch

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.datasets.mini_uds.domains import DOMAINS
from sfnet_mm.datasets.mini_uds.scene import paint_scene
from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.deploy.media import open_video, read_frames, video_writer
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


@lru_cache(maxsize=4)
def load(config: str, checkpoint: str, runtime: str) -> tuple:
    """The model of torch, for its flow, and the runtime that makes the mask."""
    model = load_model(config, checkpoint or None)
    if runtime == 'torch':
        return model, load_runtime('torch', config, checkpoint or None)
    stamp = osp.getmtime(checkpoint) if checkpoint else 'random'
    digest = hashlib.sha256(f'{osp.abspath(config)} {checkpoint} {stamp}'.encode()).hexdigest()
    path = osp.join(tempfile.gettempdir(), f'sfnet_mm_{digest[:16]}_{runtime}.onnx')
    if not osp.isfile(path):
        export_onnx(model, path, (256, 512), dynamic=True, runtime=runtime)
    return model, load_runtime(runtime, path)


def segment_image(image: np.ndarray, config: str, checkpoint: str, runtime: str) -> tuple:
    """Overlay, sheet of flows and gate (None without flow), class shares and a line on the time."""
    if image is None:
        raise ValueError('choose an image first')
    model, run = load(config, checkpoint.strip(), runtime)
    bgr = np.ascontiguousarray(image[..., ::-1])
    mask = run.predict(bgr)
    begin = time.perf_counter()
    mask = run.predict(bgr)
    spent = 1000 * (time.perf_counter() - begin)
    with AlignmentRecorder(model) as recorder, torch.inference_mode():
        model(torch.from_numpy(run.prepare(bgr)))
    rows = alignment_rows(recorder.first_pass(), 0, 420, image.shape[:2])
    sheet = draw_sheet('semantic flow', rows) if rows else None
    line = f'{spent:.0f} ms per image of {image.shape[1]}x{image.shape[0]} pixels ({run.name})'
    return overlay(image, mask, run.palette), sheet, class_shares(mask, run.classes), line


def segment_video(path: str, config: str, checkpoint: str, runtime: str) -> tuple:
    """A video with the classes over it, and a line on the time per frame."""
    if not path:
        raise ValueError('choose a video first')
    _, run = load(config, checkpoint.strip(), runtime)
    video = open_video(path)
    out = osp.join(tempfile.mkdtemp(), 'classes.webm')
    writer = video_writer(out, video)
    palette = [colour[::-1] for colour in run.palette]
    times = []
    for frame in read_frames(video):
        begin = time.perf_counter()
        mask = run.predict(frame)
        times.append(time.perf_counter() - begin)
        writer.write(overlay(frame, mask, palette))
        if len(times) == MAX_FRAMES:
            break
    writer.release()
    return out, f'{1000 * np.median(times):.0f} ms per frame, {len(times)} frames ({run.name})'


def build_app(config: str, checkpoint: str):
    """The page.

    Raises:
        ImportError: Gradio is not installed; says how to install it.
    """
    gr = require('gradio', 'pip install -r requirements/demo.txt')

    def shown(function):
        """Errors of the model become a line on the page."""

        def call(*args):
            try:
                return function(*args)
            except (OSError, ValueError, ImportError, RuntimeError) as e:
                raise gr.Error(str(e).split('\n')[0]) from None

        return call

    configs = sorted(
        osp.relpath(p, ROOT) for p in glob.glob(osp.join(ROOT, 'configs', 'sfnet_*.py'))
    )
    configs = [osp.join(ROOT, c) for c in configs]
    samples = sample_images()
    with gr.Blocks(title='SFNet') as app:
        gr.Markdown('# SFNet: segmentation and its semantic flow')
        with gr.Row():
            choice = gr.Dropdown(
                [(osp.basename(c), c) for c in {*configs, config}], value=config, label='config'
            )
            weights = gr.Textbox(checkpoint, label='checkpoint (empty: random weights)')
            runtime = gr.Radio(RUNTIMES, value='torch', label='runtime')
        settings = [choice, weights, runtime]
        with gr.Tab('image'):
            with gr.Row():
                image = gr.Image(label='image', value=samples[0])
                result = gr.Image(label='classes')
            gr.Examples(samples, image)
            button = gr.Button('Segment', variant='primary', elem_id='segment')
            spent = gr.Textbox(label='time', elem_id='time')
            with gr.Row():
                flow = gr.Image(label='flow and gate', scale=3)
                shares = gr.Label(label='class shares', num_top_classes=8, scale=1)
            outputs = [result, flow, shares, spent]
            button.click(shown(segment_image), [image, *settings], outputs, api_name='image')
        with gr.Tab('video'):
            with gr.Row():
                video, drawn = gr.Video(label='video'), gr.Video(label='classes')
            frame_time = gr.Textbox(label='time')
            gr.Button('Segment').click(
                shown(segment_video), [video, *settings], [drawn, frame_time], api_name='video'
            )
    return app


def sample_images() -> list:
    """Paths of a drawn street scene of each domain of mini-UDS."""
    paths = []
    for i, domain in enumerate(DOMAINS):
        scene = paint_scene(domain, np.random.default_rng([7, i]), 0)
        path = osp.join(tempfile.gettempdir(), f'sfnet_mm_sample_{domain.name}.png')
        paths.append(save_png(path, np.ascontiguousarray(scene.image)))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description='A page to try a model on')
    parser.add_argument(
        '--config', default=osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
    )
    parser.add_argument('--checkpoint', default='', help='empty shows random weights')
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=7860)
    args = parser.parse_args()
    try:
        load_model(args.config, args.checkpoint or None)
        build_app(args.config, args.checkpoint).launch(
            server_name=args.host, server_port=args.port, share=False
        )
    except (OSError, ValueError, ImportError) as e:
        raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
