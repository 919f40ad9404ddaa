# SFNet with ResNet-101.
_base_ = ['./sfnet.py']

model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='open-mmlab://resnet101_v1c')),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], channels=256),
)
