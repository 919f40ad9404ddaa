_base_ = [
    '../_base_/models/semantic_fpn.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/ade20k_sgd_160k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        _delete_=True,
        type='DFNet',
        arch='DF2',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/df2_imagenet.pth'),
    ),
    neck=dict(in_channels=[128, 256, 512], num_outs=3),
    decode_head=dict(
        in_channels=[256] * 3,
        in_index=[0, 1, 2],
        feature_strides=[8, 16, 32],
        num_classes=_base_.num_classes,
    ),
)
