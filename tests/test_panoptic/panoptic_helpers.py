"""A tiny panoptic problem: sizes, and samples made of rectangles."""

import numpy as np
import torch
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
