# SFNet with DF2, whose three maps have strides 8, 16 and 32.
_base_ = ['./sfnet_df1.py']

model = dict(backbone=dict(arch='DF2', init_cfg=dict(checkpoint='pretrained/df2_imagenet.pth')))
