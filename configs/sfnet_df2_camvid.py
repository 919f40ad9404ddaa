_base_ = [
    './_base_/models/sfnet.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/camvid_20k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='DFNet', arch='DF2', norm_cfg=_base_.norm_cfg),
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(in_channels=[128, 256, 512], channels=64, num_classes=_base_.num_classes),
)
