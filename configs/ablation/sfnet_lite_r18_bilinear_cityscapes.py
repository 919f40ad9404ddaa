# Bilinear upsampling in the place of GD-FAM, no row of the paper.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=None))
