# FCN on the last map of ResNet-18 (Table 8a).
_base_ = ['./sfnet.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=512,
        in_index=3,
        channels=128,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        align_corners=True,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
    )
)
