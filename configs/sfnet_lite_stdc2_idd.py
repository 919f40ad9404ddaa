_base_ = [
    './_base_/models/sfnet_lite.py',
    './_base_/datasets/idd.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True, type='STDCPyramid', stdc_type='STDCNet2', norm_cfg=_base_.norm_cfg
    ),
    decode_head=dict(in_channels=[64, 512, 1024]),
)
