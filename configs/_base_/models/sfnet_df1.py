# SFNet with DF1, whose three maps have strides 16, 32 and 32.
_base_ = ['./sfnet.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='DFNet',
        arch='DF1',
        norm_cfg=_base_.norm_cfg,
        # Made of the authors' file by tools/model_converters/sfsegnets2mmseg.py.
        init_cfg=dict(type='Pretrained', checkpoint='pretrained/df1_imagenet.pth'),
    ),
    decode_head=dict(in_channels=[128, 256, 512], channels=64),
)
