import os.path as osp

import cv2
import numpy as np
import pytest
import torch
from helpers import ROOT, randomize_norms
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmengine.model import BaseModule, ModuleList
from mmseg.apis import inference_model
from mmseg.registry import MODELS

from sfnet_mm.deploy import load_model

CONFIG = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
SIZE = (96, 160)
META = dict(
    classes=tuple(f'class {i}' for i in range(19)), palette=[[i, 2 * i, 90] for i in range(19)]
)
LITE = dict(type='SFNetLiteHead', in_channels=[8, 24, 32], in_index=[0, 2, 3])
CROPS = [
    dict(type='Resize', scale=(100000, 96), keep_ratio=True),
    dict(type='CenterCrop', crop_size=(96, 96)),
    dict(type='ResetOriginalShape'),
]
FULL = dict(type='SFNetHead', in_channels=[8, 16, 24, 32], in_index=[0, 1, 2, 3])


@MODELS.register_module()
class ConvPyramid(BaseModule):
    """Maps of strides 4, 8, 16 and 32, a convolution of the image each: quickly traced."""

    def __init__(self, in_channels=3, channels=(8, 16, 24, 32), norm_cfg=dict(type='BN')):
        super().__init__()
        self.layers = ModuleList(
            ConvModule(in_channels, n, 3, stride=stride, padding=1, norm_cfg=norm_cfg)
            for n, stride in zip(channels, (4, 8, 16, 32))
        )

    def forward(self, x):
        return [layer(x) for layer in self.layers]


def small_config(
    num_classes=3, in_channels=3, norm_cfg=dict(type='BN'), head=None, pipeline=(), **model
):
    """A config of a small SFNet-Lite, or of another decoder given by ``head``.

    Args:
        pipeline: What the test pipeline does between loading and packing.
        **model: Entries of the segmentor that differ.
    """
    steps = [dict(type='LoadImageFromFile'), *pipeline, dict(type='PackSegInputs')]
    model = {
        'type': 'EncoderDecoder',
        'data_preprocessor': dict(
            type='SegDataPreProcessor',
            mean=[120.0 + i for i in range(in_channels)],
            std=[60.0 - i for i in range(in_channels)],
            bgr_to_rgb=in_channels == 3,
        ),
        'backbone': dict(type='ConvPyramid', in_channels=in_channels, norm_cfg=norm_cfg),
        'decode_head': dict(
            LITE, channels=8, num_classes=num_classes, norm_cfg=norm_cfg, **(head or {})
        ),
        'test_cfg': dict(mode='whole'),
        **model,
    }
    classes = [f'class {i}' for i in range(num_classes)]
    palette = [[i % 256, i // 256, 90] for i in range(num_classes)]
    dataset = dict(
        type='BaseSegDataset', metainfo=dict(classes=classes, palette=palette), pipeline=steps
    )
    return Config(dict(model=model, test_pipeline=steps, test_dataloader=dict(dataset=dataset)))


def small_model(folder, in_channels=3, **config):
    """A small model with batch statistics and logits that vary.

    Returns:
        tuple: Path of its config, path of its checkpoint, and the model.
    """
    paths = osp.join(folder, 'config.py'), osp.join(folder, 'model.pth')
    small_config(in_channels=in_channels, **config).dump(paths[0])
    model = randomize_norms(load_model(paths[0]))
    classifier = model.decode_head.conv_seg
    torch.nn.init.normal_(classifier.weight)
    image = torch.from_numpy(smooth_image(channels=in_channels)).permute(2, 0, 1)[None] / 64 - 2
    with torch.no_grad():
        # No class is everywhere.
        classifier.bias -= model(image).mean((0, 2, 3))
    torch.save(dict(state_dict=model.state_dict()), paths[1])
    return *paths, model


def smooth_image(size=SIZE, channels=3):
    """A random image (H, W, channels) uint8 whose neighboring pixels are alike."""
    cells = np.random.default_rng(0).integers(0, 256, (9, 15, channels), dtype=np.uint8)
    image = cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)
    return image.reshape(*size, channels)


def needs_onnx(*others):
    """Skip where a package of the export, or one of the others, is not installed."""
    for name in ('onnx', 'onnxscript', 'onnxruntime', *others):
        pytest.importorskip(name, reason='needs requirements/deploy.txt')


def strip_metadata(source, target):
    """Copy a graph without its metadata, as one that other tools wrote."""
    import onnx

    proto = onnx.load(str(source))
    del proto.metadata_props[:]
    onnx.save(proto, str(target))


def predicted_by_mmseg(config, checkpoint, image):
    """The mask (H, W) of mmseg's own ``inference_model``."""
    return inference_model(load_model(config, checkpoint), image).pred_sem_seg.data[0].numpy()


def run_in_onnxruntime(proto, **inputs):
    """The first output of a graph for arrays."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return session.run(None, inputs)[0]
