# CamVid at 360x480: deformable convolution in place of FAM.
_base_ = ['../sfnet_efflite0_camvid360.py']

model = dict(decode_head=dict(align=dict(type='DeformableAlignmentModule')))
