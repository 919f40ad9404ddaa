# PIDNet-S (https://arxiv.org/abs/2206.02066) under its own losses; its labels need GenerateEdge.
_base_ = ['./sfnet.py']

norm_cfg = dict(type='SyncBN', requires_grad=True)
ohem = dict(type='OhemCrossEntropy', thres=0.9, min_kept=131072)
model = dict(
    backbone=dict(
        _delete_=True,
        type='PIDNet',
        in_channels=3,
        channels=32,
        ppm_channels=96,
        num_stem_blocks=2,
        num_branch_blocks=3,
        align_corners=False,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU', inplace=True),
    ),
    decode_head=dict(
        _delete_=True,
        type='PIDHead',
        in_channels=128,
        channels=128,
        num_classes=19,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU', inplace=True),
        align_corners=True,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_weight=0.4),
            dict(loss_weight=1.0, **ohem),
            dict(type='BoundaryLoss', loss_weight=20.0),
            dict(loss_weight=1.0, **ohem),
        ],
    ),
)
