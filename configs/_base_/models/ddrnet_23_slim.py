# DDRNet-23-slim (https://arxiv.org/abs/2101.06085) under its own losses.
_base_ = ['./sfnet.py']

ohem = dict(type='OhemCrossEntropy', thres=0.9, min_kept=131072)
model = dict(
    backbone=dict(
        _delete_=True,
        type='DDRNet',
        in_channels=3,
        channels=32,
        ppm_channels=128,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
    ),
    decode_head=dict(
        _delete_=True,
        type='DDRHead',
        in_channels=128,
        channels=64,
        dropout_ratio=0.0,
        num_classes=19,
        align_corners=False,
        norm_cfg=_base_.norm_cfg,
        loss_decode=[dict(loss_weight=1.0, **ohem), dict(loss_weight=0.4, **ohem)],
    ),
)
