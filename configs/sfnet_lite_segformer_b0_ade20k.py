_base_ = ['./baselines/segformer_b0_ade20k.py']
model = dict(
    decode_head=dict(
        _delete_=True,
        type='SFNetLiteHead',
        in_channels=[32, 160, 256],
        in_index=[0, 2, 3],
        channels=128,
        num_classes=_base_.num_classes,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
)
