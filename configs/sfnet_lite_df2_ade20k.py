_base_ = [
    './_base_/models/sfnet_lite.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/ade20k_sgd_80k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='DFNet', arch='DF2', norm_cfg=_base_.norm_cfg),
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        in_channels=[128, 256, 512],
        in_index=[0, 1, 2],
        channels=64,
        num_classes=_base_.num_classes,
        loss_decode=dict(_delete_=True, type='CrossEntropyLoss'),
    ),
)
