# SFNet with STDC1.
_base_ = ['./sfnet.py']

model = dict(
    backbone=dict(
        _delete_=True, type='STDCPyramid', stdc_type='STDCNet1', norm_cfg=_base_.norm_cfg
    ),
    decode_head=dict(in_channels=[64, 256, 512, 1024], channels=64),
)
