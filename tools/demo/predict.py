"""Segment images, folders, videos, cameras and streams from the command line.

    python tools/demo/predict.py INPUT... --out-dir predictions
    python tools/demo/predict.py CONFIG CHECKPOINT INPUT...
    python tools/demo/predict.py model.onnx - INPUT... --runtime onnxruntime
    python tools/demo/predict.py 0 --save overlay,json
    python tools/demo/predict.py rtsp://camera.local/stream --max-frames 500

Without a config, the model that comes with the package is used: SFNet on EfficientNet-Lite0,
trained on CamVid (weights/README.md).

An image NAME gives NAME_mask.png (class indices) and NAME_overlay.png; a video gives
NAME_overlay.mp4, or .webm if OpenCV has no encoder for .mp4. NAME is the path below the given
folder. With several folders, it begins with the name of the folder. Files that were made from the
same input, weights and options are kept, so that a run that was stopped can continue. The results
of a camera or an address have their start time in their names. ``--save`` chooses what is written;
for a video or stream, masks and confidence are folders with one file per frame.
"""

import argparse
import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.checkpoints import local_path
from sfnet_mm.config_files import WEIGHTS, config_path, weights_path
from sfnet_mm.deploy import RUNTIMES, Runtime, load_runtime
from sfnet_mm.deploy.prediction import CONFIDENCE_FORMATS
from sfnet_mm.deploy.predictor import Predictor, output_names
from sfnet_mm.deploy.streams import KINDS, is_stream, name_streams
from sfnet_mm.utils.config import CONFIG_SUFFIXES
from sfnet_mm.utils.each_file import check_failures, for_each_file
from sfnet_mm.utils.file_names import distinct_names, find_images, refuse_overwriting
from sfnet_mm.utils.made_files import file_digest, text_digest
from sfnet_mm.utils.media import is_video
from sfnet_mm.utils.tooling import check_out_folder, one_error_line

# The runtimes of a graph, by its suffix.
GRAPHS = {'.onnx': 'onnxruntime or openvino', '.pt2': 'pt2', '.engine': 'tensorrt'}


def kinds(text: str) -> list[str]:
    """Parse kinds of results in a list with commas, as a ``type`` of argparse."""
    found = text.split(',')
    for kind in found:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f'{kind!r} is not one of {", ".join(KINDS)}')
    return found


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment images or a video')
    parser.add_argument(
        'arguments',
        nargs='+',
        metavar='[MODEL CHECKPOINT] INPUT',
        help='images, folders, videos, numbers of cameras, rtsp:// or http:// addresses; before '
        'them a config and its checkpoint, or a graph with --runtime and "-"',
    )
    parser.add_argument('--out', '--out-dir', dest='out_dir', default='predictions', help='folder')
    parser.add_argument(
        '--runtime', choices=list(RUNTIMES), default='torch', help='runtime of the model'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--opacity', type=float, default=0.5, help='opacity of the classes, 0 to 1')
    parser.add_argument('--save', type=kinds, help=f'some of {",".join(KINDS)}')
    parser.add_argument(
        '--confidence-format',
        choices=CONFIDENCE_FORMATS,
        default='png',
        help='format of the confidence: png has 8 bits, npy has float32',
    )
    parser.add_argument(
        '--max-frames', type=int, default=0, help='number of frames of a video or stream; 0: all'
    )
    parser.add_argument(
        '--timeout', type=float, default=10, help='seconds to wait for the answer of an address'
    )
    parser.add_argument('--reconnect', type=int, default=5, help='number of attempts to reconnect')
    # Options may stand before, between and behind the inputs.
    args = parser.parse_intermixed_args(argv)
    first = args.arguments[0]
    if args.runtime == 'torch' and first.endswith(tuple(GRAPHS)):
        parser.error(f'{first} is a graph: choose --runtime {GRAPHS[osp.splitext(first)[1]]}')
    if args.runtime != 'torch' or first.endswith(CONFIG_SUFFIXES):
        if len(args.arguments) < 3:
            parser.error(f'{first} needs a checkpoint (or "-") and at least one INPUT behind it')
        args.model, args.checkpoint, *args.inputs = args.arguments
    else:
        args.model = args.checkpoint = None
        args.inputs = args.arguments
    return args


def settings_of_result(args: argparse.Namespace) -> dict[str, Any]:
    """List all that a result depends on besides its input: weights, config, options, version."""
    made_of: dict[str, Any] = dict(runtime=args.runtime, version=sfnet_mm.__version__)
    if args.runtime == 'torch':
        made_of['config'] = text_digest(Config.fromfile(args.model).pretty_text)
        path = local_path(args.checkpoint)
        made_of['checkpoint'] = file_digest(path) if osp.isfile(path) else path
    else:
        made_of['graph'] = file_digest(args.model)
    return made_of


def make_runtime(args: argparse.Namespace) -> Runtime:
    """Load the given model, or the one of the package."""
    if args.model is None:
        args.model, args.checkpoint = config_path(WEIGHTS['camvid']), weights_path('camvid')
    if args.runtime == 'torch':
        return load_runtime('torch', args.model, args.checkpoint, args.device)
    if args.runtime in ('onnxruntime', 'openvino'):
        return load_runtime(args.runtime, args.model, args.device)
    if args.device != 'cpu':
        raise ValueError(f'--runtime {args.runtime} takes no --device {args.device}: leave it out')
    return load_runtime(args.runtime, args.model)


def check_options(args: argparse.Namespace) -> None:
    """Raise a ValueError if a number is out of range or the folder of the results is a file."""
    if osp.isfile(args.out_dir):
        raise ValueError(f'--out-dir {args.out_dir} is a file: name a folder')
    if not 0 <= args.opacity <= 1:
        raise ValueError(f'--opacity {args.opacity} is not between 0 and 1')
    for name in ('max_frames', 'timeout', 'reconnect'):
        if not getattr(args, name) >= 0:  # NaN is not, either.
            option = name.replace('_', '-')
            raise ValueError(f'--{option} {getattr(args, name)} is not 0 or more')


def run(args: argparse.Namespace) -> Predictor:
    """Segment all inputs and return the predictor, which knows whether it was stopped."""
    check_options(args)
    streams = name_streams(p for p in args.inputs if is_stream(p))
    files = [p for p in args.inputs if not is_stream(p)]
    videos = [p for p in files if is_video(p) and not osp.isdir(p)]
    images = [p for p in files if p not in videos]
    images = find_images(images, args.out_dir) if images else {}
    for path in videos:
        if not osp.isfile(path):
            raise FileNotFoundError(f'video {path} does not exist')
    videos = distinct_names((osp.basename(p), p) for p in videos)
    outputs = output_names(images, videos, args.save, args.confidence_format)
    outputs = [osp.join(args.out_dir, name) for name in outputs]
    refuse_overwriting(outputs, [*images.values(), *videos.values()])
    check_out_folder(args.out_dir, '--out-dir')
    predictor = Predictor(
        make_runtime(args),
        args.out_dir,
        settings_of_result(args),
        args.save,
        args.confidence_format,
        args.opacity,
        args.max_frames,
        args.timeout,
        args.reconnect,
    )
    # The names are shown, so they have no passwords.
    shown = {name: str(source) for name, source in streams.items()}
    failures = []
    for inputs, work in (
        (images, predictor.image),
        (videos, predictor.video),
        (shown, lambda name, _, progress: predictor.stream(streams[name], progress)),
    ):
        if inputs:
            failures += for_each_file(inputs, work)
    print(f'{predictor.written} written, {predictor.kept} kept: {args.out_dir}')
    check_failures(failures, len(images) + len(videos) + len(streams))
    return predictor


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    if run(parse_args(argv)).stopped:
        raise SystemExit(130)


if __name__ == '__main__':
    main()
