_base_ = [
    './_base_/models/sfnet.py',
    './_base_/datasets/mapillary19.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='DFNet', arch='DF1', norm_cfg=_base_.norm_cfg),
    decode_head=dict(in_channels=[128, 256, 512], channels=64),
)
