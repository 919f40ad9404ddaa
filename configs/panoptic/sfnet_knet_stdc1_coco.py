_base_ = [
    './_base_/knet_stdc1.py', './_base_/coco_panoptic_36e.py', './_base_/panoptic_runtime.py'
]
model = dict(
    neck=dict(
        _delete_=True,
        type='mmseg.AlignedFPN',
        in_channels=[64, 256, 512, 1024],
        out_channels=256,
        norm_cfg=_base_.norm_cfg))
