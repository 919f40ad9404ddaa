# STDC-Seg (https://arxiv.org/abs/2104.13188) with STDC1 and its detail loss.
_base_ = ['./sfnet_stdc1.py']

norm_cfg = _base_.norm_cfg
shared = dict(
    num_convs=1, concat_input=False, num_classes=19, norm_cfg=norm_cfg, align_corners=True
)
loss = dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000)
model = dict(
    backbone=dict(
        _delete_=True,
        type='STDCContextPathNet',
        backbone_cfg=dict(
            type='STDCNet',
            stdc_type='STDCNet1',
            in_channels=3,
            channels=(32, 64, 256, 512, 1024),
            bottleneck_type='cat',
            num_convs=4,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='ReLU'),
            with_final_conv=False,
            init_cfg=_base_.model.backbone.init_cfg,
        ),
        last_in_channels=(1024, 512),
        out_channels=128,
        ffm_cfg=dict(in_channels=384, out_channels=256, scale_factor=4),
    ),
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=256,
        in_index=3,
        channels=256,
        loss_decode=loss,
        **shared,
    ),
    auxiliary_head=[
        dict(type='FCNHead', in_channels=128, in_index=2, channels=64, loss_decode=loss, **shared),
        dict(type='FCNHead', in_channels=128, in_index=1, channels=64, loss_decode=loss, **shared),
        dict(
            type='STDCHead',
            in_channels=256,
            in_index=0,
            channels=64,
            boundary_threshold=0.1,
            loss_decode=[
                dict(type='CrossEntropyLoss', loss_name='loss_ce', use_sigmoid=True),
                dict(type='DiceLoss', loss_name='loss_dice'),
            ],
            **dict(shared, num_classes=2),
        ),
    ],
)
