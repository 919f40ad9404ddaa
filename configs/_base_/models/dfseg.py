# DF-Seg (https://arxiv.org/abs/1903.03777) with DF1.
_base_ = ['./sfnet_df1.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='DFSegHead',
        in_channels=[128, 256, 512],
        channels=256,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
    ),
)
