# SFNet-Lite with ResNet-18. Other backbones replace `backbone` and the channels of `decode_head`.
_base_ = ['./sfnet.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='SFNetLiteHead',
        in_channels=[64, 256, 512],
        in_index=[0, 2, 3],
        channels=128,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
    )
)
