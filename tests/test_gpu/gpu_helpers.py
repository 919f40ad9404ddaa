"""Small segmentors, and data for them, in float32 on a device and in float64 on the CPU."""

import copy

import torch
from helpers import segmentation_samples
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

SIZE = (65, 97)  # no map is half of another
HEADS = dict(
    sfnet=dict(type='SFNetHead', in_channels=[8, 16, 32, 64], deep_supervision=True),
    lite=dict(type='SFNetLiteHead', in_channels=[8, 32, 64]),
    dysample=dict(
        type='SFNetLiteHead',
        in_channels=[8, 32, 64],
        align=dict(type='DySampleAlignment', scale_factor=8),
    ),
    carafe=dict(
        type='SFNetLiteHead',
        in_channels=[8, 32, 64],
        align=dict(type='CARAFEAlignment', scale_factor=8),
    ),
    sapa=dict(type='SFNetHead', in_channels=[8, 16, 32, 64], align=dict(type='SAPAAlignment')),
    freqfusion=dict(
        type='SFNetHead', in_channels=[8, 16, 32, 64], align=dict(type='FreqFusionAlignment')
    ),
)
LOSS = dict(type='HardPixelCrossEntropy', min_kept=200)


def build_segmentor(head, norm='BN'):
    """A thin ResNet-18 with a decoder; 5 classes."""
    norm_cfg = dict(type=norm)
    common = dict(
        channels=16,
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=LOSS,
        context=dict(type='PyramidContext', dropout_ratio=0),
    )
    backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=norm_cfg)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                bgr_to_rgb=True,
                size=SIZE,
                test_cfg=dict(size_divisor=1),
            ),
            backbone=backbone,
            decode_head=dict(HEADS[head], **common),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    for layer in getattr(model.decode_head, 'dsn', ()):
        layer.dropout = None
    return model


def batch(num=2):
    """Images and labels as a data loader gives them."""
    images = [torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8) for _ in range(num)]
    return dict(inputs=images, data_samples=segmentation_samples(num, *SIZE, 5))


def train_step(model, data, lr=0.01, wrapper=OptimWrapper, **kwargs):
    """One step of training by mmengine; the losses as floats."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = model.train().train_step(copy.deepcopy(data), wrapper(optimizer=optimizer, **kwargs))
    return {name: float(value) for name, value in losses.items()}


def predict(model, data):
    """Classes (N, H, W), on the CPU."""
    with torch.no_grad():
        results = model.eval().test_step(copy.deepcopy(data))
    return torch.stack([r.pred_sem_seg.data[0].cpu() for r in results])
