# BiSeNetV2 (https://arxiv.org/abs/2004.02147) under its own losses.
_base_ = ['./sfnet.py']

norm_cfg = _base_.norm_cfg
loss = dict(type='CrossEntropyLoss')
shared = dict(
    type='FCNHead', concat_input=False, num_classes=19, norm_cfg=norm_cfg, align_corners=False
)
model = dict(
    backbone=dict(
        _delete_=True,
        type='BiSeNetV2',
        detail_channels=(64, 64, 128),
        semantic_channels=(16, 32, 64, 128),
        semantic_expansion_ratio=6,
        bga_channels=128,
        out_indices=(0, 1, 2, 3, 4),
        align_corners=False,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        _delete_=True,
        in_channels=128,
        in_index=0,
        channels=1024,
        num_convs=1,
        loss_decode=loss,
        **shared,
    ),
    auxiliary_head=[
        dict(in_channels=c, in_index=i, channels=w, num_convs=n, loss_decode=loss, **shared)
        for i, c, w, n in ((1, 16, 16, 2), (2, 32, 64, 2), (3, 64, 256, 2), (4, 128, 1024, 2))
    ],
)
