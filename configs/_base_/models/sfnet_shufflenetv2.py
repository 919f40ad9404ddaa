# SFNet with ShuffleNetV2 (Table 11).
_base_ = ['./sfnet.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV2',
        width=1.0,
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/shufflenetv2_x1-5666bf0f80.pth',
        ),
    ),
    decode_head=dict(in_channels=[24, 116, 232, 464], channels=64),
)
