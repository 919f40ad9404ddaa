"""Draw what every FAM and GD-FAM does to an image, one sheet per image.

    python tools/analysis_tools/draw_flow.py CONFIG CHECKPOINT IMAGE... --out-dir flow

A sheet shows the input, the prediction, the flows in colour code with arrows, the gate of GD-FAM
and the features before and after the warp; with ``--labels`` also the label and the errors.
"""

import argparse
import os.path as osp

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmengine.utils import track_iter_progress
from mmseg.apis import inference_model

from sfnet_mm.deploy.media import list_images, read_image, read_label
from sfnet_mm.deploy.model import load_model
from sfnet_mm.visualization import (
    AlignmentRecorder,
    alignment_rows,
    draw_sheet,
    image_row,
    save_png,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw semantic flow')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint; "none" draws random weights')
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='images or folders of images')
    parser.add_argument('--labels', nargs='+', help='one label map of class indices per image')
    parser.add_argument('--out-dir', default='flow', help='folder for the sheets')
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--tile-width', type=int, default=480, help='width of a tile in pixels')
    return parser.parse_args()


def draw(model, path: str, label_path: str, out_dir: str, tile_width: int) -> str:
    image = read_image(path)
    with AlignmentRecorder(model) as recorder:
        result = inference_model(model, image)
    prediction = result.pred_sem_seg.data.squeeze(0).cpu().numpy()
    label = read_label(label_path) if label_path else None
    meta = model.dataset_meta
    row = image_row(image[..., ::-1], label, prediction, meta.get('palette', ()))
    rows = alignment_rows(
        recorder.first_pass(), 0, tile_width, result.metainfo.get('img_shape', image.shape)
    )
    stem = osp.splitext(osp.basename(path))[0]
    sheet = draw_sheet(
        stem,
        [row, *rows],
        meta.get('classes', ()),
        meta.get('palette', ()),
        tile_width=tile_width,
    )
    return save_png(osp.join(out_dir, f'{stem}.png'), sheet)


def main() -> None:
    args = parse_args()
    try:
        images = list_images(args.images)
        labels = args.labels or [''] * len(images)
        if len(labels) != len(images):
            raise ValueError(f'{len(labels)} labels were given for {len(images)} images')
        if args.tile_width < 64:
            raise ValueError(f'--tile-width {args.tile_width} is below 64 pixels')
        checkpoint = None if args.checkpoint == 'none' else args.checkpoint
        model = load_model(args.config, checkpoint, args.device)
        if not AlignmentRecorder(model).modules:
            raise ValueError(f'{args.config} has no FAM or GD-FAM, so there is no flow to draw')
        written = [
            draw(model, path, label, args.out_dir, args.tile_width)
            for path, label in track_iter_progress(list(zip(images, labels)))
        ]
    except (OSError, ValueError) as e:
        raise SystemExit(f'error: {e}') from None
    print('\n' + '\n'.join(written))


if __name__ == '__main__':
    main()
