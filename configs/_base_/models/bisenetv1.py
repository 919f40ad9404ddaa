# BiSeNetV1 (https://arxiv.org/abs/1808.00897) with ResNet-18.
_base_ = ['./sfnet.py']

norm_cfg = _base_.norm_cfg
shared = dict(
    type='FCNHead',
    num_convs=1,
    concat_input=False,
    num_classes=19,
    norm_cfg=norm_cfg,
    align_corners=True,
    loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
)
model = dict(
    backbone=dict(
        _delete_=True,
        type='BiSeNetV1',
        in_channels=3,
        context_channels=(128, 256, 512),
        spatial_channels=(64, 64, 64, 128),
        out_indices=(0, 1, 2),
        out_channels=256,
        align_corners=True,
        backbone_cfg=dict(
            type='ResNetV1c',
            depth=18,
            strides=(1, 2, 2, 2),
            dilations=(1, 1, 1, 1),
            norm_cfg=norm_cfg,
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet18_v1c'),
        ),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(_delete_=True, in_channels=256, in_index=0, channels=256, **shared),
    auxiliary_head=[dict(in_channels=128, in_index=i, channels=64, **shared) for i in (1, 2)],
)
