"""Draw the flow, gate and features of every FAM and GD-FAM, one sheet per image.

    python tools/analysis_tools/draw_flow.py CONFIG CHECKPOINT IMAGE... --out flow

A sheet shows the input, the prediction, the flows in color code with arrows, the gate of GD-FAM and
the features before and after the warp. With ``--labels`` it also shows the label and the errors.
The name of a sheet is the path of the image below the given folder. With several folders, it begins
with the name of the folder.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmseg.apis import inference_model

from sfnet_mm.datasets.label_files import label_table, read_label
from sfnet_mm.datasets.label_maps import LABEL_TABLES
from sfnet_mm.datasets.pipelines import stored_color_type
from sfnet_mm.deploy.image_pipeline import ImagePipeline, pipeline_steps
from sfnet_mm.deploy.model import load_model
from sfnet_mm.utils.each_file import check_failures, for_each_file
from sfnet_mm.utils.file_names import find_images, refuse_overwriting
from sfnet_mm.utils.media import as_picture, read_image
from sfnet_mm.utils.tooling import check_out_folder, one_error_line
from sfnet_mm.visualization import (
    AlignmentRecorder,
    alignment_rows,
    class_map,
    draw_sheet,
    image_row,
    save_png,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw semantic flow')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint; "none" draws random weights')
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='images or folders of images')
    parser.add_argument('--labels', nargs='+', help='one label map per image')
    parser.add_argument(
        '--label-table',
        choices=[*LABEL_TABLES, 'none'],
        help='table that translates the ids of the label maps; "none" takes them as class indices; '
        "default: the table of the config's data set",
    )
    parser.add_argument(
        '--out', '--out-dir', dest='out', default='flow', help='folder for the sheets'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--tile-width', type=int, default=480, help='width of a tile in pixels')
    return parser.parse_args(argv)


def draw(model, path: str, label, title: str, tile_width: int):
    """Draw the sheet of an image, with its label map if ``label`` is not None."""
    loading, steps = pipeline_steps(model.cfg)
    pipeline = ImagePipeline(steps, loading.pop('to_float32', False))
    if label is not None:
        loading['color_type'] = stored_color_type(**loading)
    image = read_image(path, **loading)
    if label is not None and label.shape[:2] != image.shape[:2]:
        sizes = ['x'.join(map(str, x.shape[:2])) for x in (label, image)]
        raise ValueError(
            f'the label is {sizes[0]} and the image {sizes[1]}: give --labels in the order of the '
            'images'
        )
    with AlignmentRecorder(model) as recorder:
        result = inference_model(model, image)
    prediction = class_map(result, 'pred_sem_seg')
    meta = model.dataset_meta
    image, label = pipeline.shown(image, label)
    shown, ignored = as_picture(image)[..., ::-1], getattr(model.decode_head, 'ignore_index', 255)
    row = image_row(shown, label, prediction, meta.get('palette', ()), ignored)
    rows = alignment_rows(
        recorder.first_pass(), 0, tile_width, result.metainfo.get('img_shape', image.shape)
    )
    return draw_sheet(
        title, [row, *rows], meta.get('classes', ()), meta.get('palette', ()), tile_width=tile_width
    )


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    images = find_images(args.images, args.out)
    outputs = {name: osp.join(args.out, f'{name}.png') for name in images}
    refuse_overwriting(outputs.values(), images.values())
    labels = args.labels or []
    if labels and len(labels) != len(images):
        raise ValueError(f'{len(labels)} labels were given for {len(images)} images')
    labels = dict(zip(images, labels))
    if args.tile_width < 64:
        raise ValueError(f'--tile-width {args.tile_width} is below 64 pixels')
    check_out_folder(args.out, '--out')
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    model = load_model(args.config, checkpoint, args.device)
    if not AlignmentRecorder(model).modules:
        raise ValueError(f'{args.config} has no FAM or GD-FAM, so there is no flow to draw')
    table = args.label_table or label_table(model.cfg)
    written: list[str] = []

    def work(name, path, _):
        label = None
        if name in labels:
            label = read_label(labels[name], table, model.num_classes)
        sheet = draw(model, path, label, name, args.tile_width)
        written.append(save_png(outputs[name], sheet))

    failures = for_each_file(images, work)
    print('\n'.join(written))
    check_failures(failures, len(images))


if __name__ == '__main__':
    main()
