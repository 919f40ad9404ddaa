_base_ = [
    './_base_/models/sfnet.py',
    './_base_/datasets/mapillary.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True, type='STDCPyramid', stdc_type='STDCNet2', norm_cfg=_base_.norm_cfg
    ),
    decode_head=dict(in_channels=[64, 256, 512, 1024], channels=64, num_classes=_base_.num_classes),
)
