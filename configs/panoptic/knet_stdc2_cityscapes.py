_base_ = [
    './_base_/knet_stdc2.py',
    './_base_/cityscapes_panoptic_64e.py',
    './_base_/panoptic_runtime.py',
]
model = dict(panoptic_head=_base_.classes, panoptic_fusion_head=_base_.classes)
load_from = 'work_dirs/knet_stdc2_coco/epoch_36.pth'
