"""A street of drawn images with a small model, and the tool that quantizes its file."""

import numpy as np
from deploy_helpers import small_model, smooth_image
from helpers import png_dataset, run_tool
from mmcv import imwrite
from mmengine.config import Config

from sfnet_mm.deploy import export_onnx, load_runtime

SIZE = (96, 128)
CLASSES = ['class 0', 'class 1', 'class 2']


def make_street(folder):
    """Fill a folder with a small model, its file, and data whose labels are its own predictions."""
    config, _, model = small_model(str(folder))
    file = str(folder / 'model.onnx')
    export_onnx(model, file, SIZE)
    runtime = load_runtime('onnxruntime', file)
    for split, count in (('train', 4), ('val', 2)):
        for i in range(count):
            image = np.roll(smooth_image(SIZE), 17 * i + len(split), 1)
            mask = runtime.predict(image)
            mask[:8] = 255 if split == 'val' else 0
            imwrite(image, folder / 'images' / split / f'{i}.png')
            imwrite(mask, folder / 'labels' / split / f'{i}.png')
    cfg = Config.fromfile(config)
    for split in ('train', 'val'):
        data = png_dataset(
            folder,
            data_prefix=dict(img_path=f'images/{split}', seg_map_path=f'labels/{split}'),
            metainfo=dict(classes=CLASSES, palette=[[i, 0, 90] for i in range(3)]),
        )
        cfg[f'{split}_dataloader'] = dict(dataset=data)
    cfg.val_evaluator = dict(type='BoundaryIoUMetric', iou_metrics=['mIoU', 'bIoU'])
    cfg.dump(config)


def quantize(street, out, *options, model='model.onnx', config='config.py'):
    arguments = ('--calibration', street / config, '--samples', 3, '--rounds', 2, *options)
    run_tool('deployment/quantize', street / model, out, *arguments)
