"""Segment images, folders of images or a video from the command line.

    python tools/demo/predict.py INPUT... --out-dir predictions
    python tools/demo/predict.py CONFIG CHECKPOINT INPUT...
    python tools/demo/predict.py model.onnx - INPUT... --runtime onnxruntime

Without a config, the model that comes with the package is used: SFNet on EfficientNet-Lite0,
trained on CamVid (weights/README.md).

For an image NAME: NAME_mask.png (class indices) and NAME_overlay.png; for a video
NAME_overlay.mp4, or .webm where OpenCV has no encoder for .mp4. NAME is the path below the folder
that was given, with the folder's name in front where there are several. What is there already and
was made of the same input, weights and options is kept, so that a run that was stopped goes on.
"""

import argparse
import os.path as osp
from typing import Any, Callable, Dict, List

from mmengine.config import Config
from rich.progress import Progress

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.config_files import WEIGHTS, config_path, weights_path
from sfnet_mm.deploy import RUNTIMES, Runtime, load_runtime
from sfnet_mm.utils.each_file import check_failures, for_each_file
from sfnet_mm.utils.file_names import distinct_names, find_images, refuse_overwriting
from sfnet_mm.utils.made_files import MadeFiles, file_digest, text_digest
from sfnet_mm.utils.media import (
    as_picture,
    is_video,
    open_video,
    read_frames,
    read_image,
    video_format,
    write_video,
)
from sfnet_mm.visualization import overlay, save_png


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment images or a video')
    parser.add_argument(
        'arguments',
        nargs='+',
        metavar='[MODEL CHECKPOINT] INPUT',
        help='images, folders or videos; before them a config (.py) and its checkpoint, or a graph '
        'with --runtime and "-"',
    )
    parser.add_argument('--out-dir', default='predictions')
    parser.add_argument('--runtime', choices=list(RUNTIMES), default='torch')
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--opacity', type=float, default=0.5, help='of the classes, 0 to 1')
    args = parser.parse_args()
    first = args.arguments[0]
    if args.runtime != 'torch' or first.endswith('.py'):
        if len(args.arguments) < 3:
            parser.error(f'{first} needs a checkpoint (or "-") and at least one INPUT behind it')
        args.model, args.checkpoint, *args.inputs = args.arguments
    else:
        args.model = args.checkpoint = None
        args.inputs = args.arguments
    return args


def image_outputs(name: str) -> List[str]:
    """Names of what is written for an image."""
    return [f'{name}_mask.png', f'{name}_overlay.png']


class Predictor:
    """Writes what a runtime predicts, unless it is there already.

    Args:
        runtime: The model.
        out_dir: Where to write.
        opacity: Of the classes over the image, 0 to 1.
        made_of: What decides on the result beside the input.
    """

    def __init__(
        self, runtime: Runtime, out_dir: str, opacity: float, made_of: Dict[str, Any]
    ) -> None:
        self.runtime, self.out_dir, self.opacity, self.made_of = runtime, out_dir, opacity, made_of
        self.made_files = MadeFiles(out_dir)
        self.written = self.kept = 0

    def image(self, name: str, path: str, progress: Progress) -> None:
        """Write the mask and the overlay of an image."""
        self._write(image_outputs(name), path, self._image)

    def video(self, name: str, path: str, progress: Progress) -> None:
        """Write the frames of a video with their classes."""
        self._write([f'{name}_overlay{video_format()[0]}'], path, self._video, progress)

    def _write(
        self, names: List[str], path: str, make: Callable[..., None], *args: Progress
    ) -> None:
        made_of = dict(self.made_of, input=file_digest(path))
        if self.made_files.has(names, made_of):
            self.kept += 1
            return
        self.made_files.begin(names)
        make(path, *(osp.join(self.out_dir, name) for name in names), *args)
        self.made_files.finish(names, made_of)
        self.written += 1

    def _image(self, path: str, mask_path: str, overlay_path: str) -> None:
        image = read_image(path, **self.runtime.loading)
        mask = self.runtime.predict(image)
        shown = as_picture(self.runtime.shown(image))
        drawn = overlay(shown[..., ::-1], mask, self.runtime.palette, self.opacity)
        save_png(overlay_path, drawn)
        save_png(mask_path, mask)

    def _video(self, path: str, out: str, progress: Progress) -> None:
        video = open_video(path)
        palette = [colour[::-1] for colour in self.runtime.palette]
        count = 0
        task = progress.add_task('frames', total=video.frame_cnt)
        try:
            with write_video(out, video) as writer:
                for frame in read_frames(video):
                    mask = self.runtime.predict(frame)
                    if mask.shape != frame.shape[:2]:
                        raise ValueError(
                            f'video {path}: the test pipeline of the config crops its frames, '
                            'take the cropping out of test_pipeline'
                        )
                    writer.write(overlay(frame, mask, palette, self.opacity))
                    count += 1
                    progress.advance(task)
        finally:
            progress.remove_task(task)
        if count < video.frame_cnt:
            print(f'{path}: {video.frame_cnt - count} frames at the end cannot be decoded')


def what_decides(args: argparse.Namespace) -> Dict[str, Any]:
    """All that the result depends on beside the input: weights, config, options and version."""
    made_of = dict(runtime=args.runtime, opacity=args.opacity, version=sfnet_mm.__version__)
    if args.runtime == 'torch':
        made_of['config'] = text_digest(Config.fromfile(args.model).pretty_text)
        local = osp.isfile(args.checkpoint)
        made_of['checkpoint'] = file_digest(args.checkpoint) if local else args.checkpoint
    else:
        made_of['graph'] = file_digest(args.model)
    return made_of


def main() -> None:
    args = parse_args()
    try:
        if not 0 <= args.opacity <= 1:
            raise ValueError(f'--opacity {args.opacity} is not between 0 and 1')
        videos = [p for p in args.inputs if is_video(p) and not osp.isdir(p)]
        images = [p for p in args.inputs if p not in videos]
        images = find_images(images, args.out_dir) if images else {}
        outputs = [osp.join(args.out_dir, p) for name in images for p in image_outputs(name)]
        refuse_overwriting(outputs, images.values())
        for path in videos:
            if not osp.isfile(path):
                raise FileNotFoundError(f'video {path} does not exist')
        videos = distinct_names((osp.basename(p), p) for p in videos)
        if args.model is None:
            args.model, args.checkpoint = config_path(WEIGHTS['camvid']), weights_path('camvid')
        if args.runtime == 'torch':
            runtime = load_runtime('torch', args.model, args.checkpoint, args.device)
        else:
            runtime = load_runtime(args.runtime, args.model)
        predictor = Predictor(runtime, args.out_dir, args.opacity, what_decides(args))
        failures = []
        for files, work in ((images, predictor.image), (videos, predictor.video)):
            if files:
                failures += for_each_file(files, work)
        print(f'{predictor.written} written, {predictor.kept} kept: {args.out_dir}')
        check_failures(failures, len(images) + len(videos))
    except (OSError, ValueError, ImportError) as e:
        raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
