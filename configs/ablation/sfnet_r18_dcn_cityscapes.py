# Table 9d: deformable convolution in place of FAM, at all stages.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='DeformableConcatAlignment')))
