"""A tiny panoptic problem: sizes, and samples made of rectangles."""

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData

HEIGHT, WIDTH = 64, 96
NUM_THINGS, NUM_STUFF, NUM_PROPOSALS, CHANNELS = 3, 2, 5, 32


def make_sample(things, seg_map=None, **meta):
    """``things``: (label, (top, bottom, left, right)); ``seg_map`` (H, W) of classes or None."""
    masks = np.zeros((len(things), HEIGHT, WIDTH), dtype=np.uint8)
    for mask, (_, (top, bottom, left, right)) in zip(masks, things):
        mask[top:bottom, left:right] = 1
    shape = dict(
        img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH), batch_input_shape=(HEIGHT, WIDTH)
    )
    sample = DetDataSample(metainfo=dict(shape, **meta))
    sample.gt_instances = InstanceData(
        labels=torch.tensor([label for label, _ in things], dtype=torch.long),
        masks=BitmapMasks(masks, HEIGHT, WIDTH),
    )
    if seg_map is not None:
        sample.gt_sem_seg = PixelData(sem_seg=torch.as_tensor(seg_map)[None])
    return sample


def build_head(cfg, seed=0, scale=3.0):
    """A head whose logits are spread, so that masks, matches and classes differ."""
    torch.manual_seed(seed)
    head = MODELS.build(cfg)
    head.init_weights()
    for name, parameter in head.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float('weight' in name), std=0.3)
        elif 'fc_mask' in name or 'conv_seg' in name:
            parameter.data *= scale
    torch.nn.init.normal_(head.conv_seg.weight, std=0.3)
    torch.nn.init.normal_(head.init_kernels.weight, std=0.3)
    return head
