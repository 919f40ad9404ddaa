_base_ = [
    './_base_/knet_stdc2.py',
    './_base_/cityscapes_panoptic_64e.py',
    './_base_/panoptic_runtime.py',
]
model = dict(
    neck=_base_.aligned_fpn,
    panoptic_head=_base_.classes,
    panoptic_fusion_head=_base_.classes,
)
load_from = 'work_dirs/sfnet_knet_stdc2_coco/epoch_36.pth'
