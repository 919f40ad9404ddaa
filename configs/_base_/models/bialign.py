# Bi-Align (https://arxiv.org/abs/2105.11651) with DF2.
_base_ = ['./sfnet.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='BiAlignNet',
        context_path=dict(
            type='DFNet',
            arch='DF2',
            init_cfg=dict(type='Pretrained', checkpoint='pretrained/df2_imagenet.pth'),
        ),
        norm_cfg=_base_.norm_cfg,
    ),
    decode_head=dict(
        _delete_=True,
        type='BiAlignHead',
        in_channels=[128, 512],
        channels=256,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000),
    ),
)
