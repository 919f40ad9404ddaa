# ICNet (https://arxiv.org/abs/1704.08545) with ResNet-50.
_base_ = ['./sfnet.py']

norm_cfg = _base_.norm_cfg
shared = dict(
    type='FCNHead',
    channels=128,
    num_convs=1,
    concat_input=False,
    num_classes=19,
    norm_cfg=norm_cfg,
    align_corners=True,
)
loss = dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000)
model = dict(
    backbone=dict(
        _delete_=True,
        type='ICNet',
        backbone_cfg=dict(
            type='ResNetV1c',
            depth=50,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            norm_cfg=norm_cfg,
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c'),
        ),
        layer_channels=(512, 2048),
        light_branch_middle_channels=32,
        psp_out_channels=512,
        out_channels=(64, 256, 256),
        norm_cfg=norm_cfg,
        align_corners=True,
    ),
    neck=dict(
        type='ICNeck',
        in_channels=(64, 256, 256),
        out_channels=128,
        norm_cfg=norm_cfg,
        align_corners=True,
    ),
    decode_head=dict(_delete_=True, in_channels=128, in_index=2, loss_decode=loss, **shared),
    auxiliary_head=[
        dict(in_channels=128, in_index=i, loss_decode=dict(loss_weight=0.4, **loss), **shared)
        for i in (0, 1)
    ],
)
