"""Segment images, folders of images or a video from the command line.

    python tools/demo/predict.py CONFIG CHECKPOINT INPUT... --out-dir predictions
    python tools/demo/predict.py model.onnx - INPUT... --runtime onnxruntime

For an image NAME: NAME_mask.png (class indices) and NAME_overlay.png; for a video:
NAME_overlay.webm. What is there already is not made again, so that a run that was stopped can be
continued.
"""

import argparse
import os
import os.path as osp
import time

from mmengine.utils import ProgressBar, mkdir_or_exist

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy import RUNTIMES, Runtime, load_runtime
from sfnet_mm.deploy.media import (
    is_video,
    list_images,
    open_video,
    read_frames,
    read_image,
    video_writer,
)
from sfnet_mm.visualization import overlay, save_png


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment images or a video')
    parser.add_argument('model', help='path of the config, or of a graph with --runtime')
    parser.add_argument('checkpoint', help='path of the checkpoint; "-" with a graph')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='images, folders or videos')
    parser.add_argument('--out-dir', default='predictions')
    parser.add_argument('--runtime', choices=list(RUNTIMES), default='torch')
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--opacity', type=float, default=0.5, help='of the classes, 0 to 1')
    return parser.parse_args()


def predict_image(runtime: Runtime, path: str, out_dir: str, opacity: float) -> None:
    stem = osp.join(out_dir, osp.splitext(osp.basename(path))[0])
    if osp.isfile(f'{stem}_mask.png') and osp.isfile(f'{stem}_overlay.png'):
        return
    image = read_image(path)
    mask = runtime.predict(image)
    save_png(f'{stem}_overlay.png', overlay(image[..., ::-1], mask, runtime.palette, opacity))
    save_png(f'{stem}_mask.png', mask)


def predict_video(runtime: Runtime, path: str, out: str, opacity: float) -> None:
    """Write the frames of a video with their classes to ``out``, a .webm."""
    video = open_video(path)
    palette = [colour[::-1] for colour in runtime.palette]
    temporary = f'{out}.part.webm'
    writer = video_writer(temporary, video)
    progress = ProgressBar(video.frame_cnt)
    count = 0
    for frame in read_frames(video):
        writer.write(overlay(frame, runtime.predict(frame), palette, opacity))
        progress.update()
        count += 1
    writer.release()
    print()
    if count < video.frame_cnt:
        print(f'{path}: {video.frame_cnt - count} frames at the end cannot be decoded')
    os.replace(temporary, out)


def main() -> None:
    args = parse_args()
    try:
        if not 0 <= args.opacity <= 1:
            raise ValueError(f'--opacity {args.opacity} is not between 0 and 1')
        videos = [p for p in args.inputs if is_video(p)]
        images = [p for p in args.inputs if not is_video(p)]
        images = list_images(images) if images else []
        for path in videos:
            open_video(path)
        if args.runtime == 'torch':
            runtime = load_runtime('torch', args.model, args.checkpoint, args.device)
        else:
            runtime = load_runtime(args.runtime, args.model)
        mkdir_or_exist(args.out_dir)
        begin = time.time()
        if images:
            progress = ProgressBar(len(images))
            for path in images:
                predict_image(runtime, path, args.out_dir, args.opacity)
                progress.update()
            print(f'\n{len(images)} images in {time.time() - begin:.1f} s: {args.out_dir}')
        for path in videos:
            stem = osp.splitext(osp.basename(path))[0]
            out = osp.join(args.out_dir, f'{stem}_overlay.webm')
            if not osp.isfile(out):
                predict_video(runtime, path, out, args.opacity)
            print(out)
    except (OSError, ValueError, ImportError) as e:
        raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
