"""Serve a page that shows classes, flow and gate of a model for an image, a video or a camera.

    python tools/demo/app.py --config configs/sfnet_lite_stdc1_miniuds.py --checkpoint model.pth

On the loopback (the default), config and checkpoint can be changed on the page, which also takes
the number of a camera or an address. On another ``--host``, config and checkpoint are those of the
command line, and the page takes only uploaded files, no paths and no addresses.
"""

import argparse
import glob
import os
import os.path as osp
from collections.abc import Sequence
from typing import Any

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.apis.page import (
    is_loopback,
    private_folder,
    sample_images,
    segment_camera,
    segment_upload,
    segment_video,
)
from sfnet_mm.config_files import WEIGHTS, config_path, weights_path
from sfnet_mm.deploy import load_model
from sfnet_mm.utils.tooling import one_error_line, require

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
RUNTIMES = ('torch', 'onnxruntime', 'openvino')
MAX_UPLOAD = '100mb'


def build_app(config: str, checkpoint: str, local: bool = True) -> Any:
    """Build the page.

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint; empty for random weights.
        local: Allow the page to change both, and to open cameras and addresses. This is only for a
            page that no other machine can reach.

    Raises:
        ImportError: Gradio is not installed. The message says how to install it.
    """
    # This is the folder of uploads and pictures; gradio reads it when it is imported.
    os.environ['GRADIO_TEMP_DIR'] = osp.join(private_folder(), 'gradio')
    gr = require('gradio', 'pip install -r requirements/demo.txt')

    def shown(function):
        """Show errors of the model as a line on the page."""

        def call(source, runtime, *settings):
            try:
                return function(source, *(settings or (config, checkpoint)), runtime)
            except (OSError, ValueError, ImportError, RuntimeError) as e:
                raise gr.Error(str(e).split('\n')[0]) from None

        return call

    def uploaded(component):
        """Keep a component of gradio from fetching an address that is given for a file."""
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
        if local:
            with gr.Tab('camera'):
                label = 'number of a camera, or rtsp:// or http:// address'
                camera, seen = gr.Textbox('0', label=label), gr.Video(label='classes')
                camera_time = gr.Textbox(label='time')
                gr.Button('Segment').click(
                    shown(segment_camera),
                    [camera, *settings],
                    [seen, camera_time],
                    api_name='camera',
                )
    return app.queue(api_open=False, max_size=16, default_concurrency_limit=1)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='A page to try a model on')
    parser.add_argument(
        '--config', help='default: the model that comes with the package (weights/README.md)'
    )
    parser.add_argument(
        '--checkpoint', default='', help='checkpoint of --config; default: random weights'
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; 0.0.0.0 lets other machines reach the page',
    )
    parser.add_argument('--port', type=int, default=7860, help='port of the page')
    args = parser.parse_args(argv)
    if args.config is None:
        args.config, args.checkpoint = config_path(WEIGHTS['camvid']), weights_path('camvid')
    return args


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    load_model(args.config, args.checkpoint or None)
    build_app(args.config, args.checkpoint, is_loopback(args.host)).launch(
        server_name=args.host, server_port=args.port, share=False, max_file_size=MAX_UPLOAD
    )


if __name__ == '__main__':
    main()
