_base_ = ['./semantic_fpn_r50_ade20k.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='DFNet',
        arch='DF2',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/df2_imagenet.pth'),
    ),
    neck=dict(in_channels=[128, 256, 512], num_outs=3),
    decode_head=dict(in_channels=[256] * 3, in_index=[0, 1, 2], feature_strides=[8, 16, 32]),
)
