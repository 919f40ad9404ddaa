# SFNet-Lite with 64 channels on EfficientNet-Lite0.
_base_ = ['./sfnet_efflite0.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='SFNetLiteHead',
        in_channels=[24, 112, 320],
        in_index=[0, 2, 3],
        channels=64,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
    )
)
