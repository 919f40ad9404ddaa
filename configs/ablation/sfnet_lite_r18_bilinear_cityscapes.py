# Table 16: bilinear upsampling in place of GD-FAM.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=None))
