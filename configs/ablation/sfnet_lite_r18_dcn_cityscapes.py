# A deformable convolution in the place of GD-FAM; that of Table 16 is in sfnet_r18_dcn_f5.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='DeformableAlignmentModule')))
