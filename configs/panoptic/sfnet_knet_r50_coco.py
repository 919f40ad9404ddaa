_base_ = [
    './_base_/knet_r50.py', './_base_/coco_panoptic_36e.py', './_base_/panoptic_runtime.py'
]
model = dict(
    neck=dict(
        _delete_=True,
        type='mmseg.AlignedFPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        norm_cfg=_base_.norm_cfg))
