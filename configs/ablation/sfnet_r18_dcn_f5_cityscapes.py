# Tables 9d and 16: one deformable convolution, at the step from F5; the others upsample.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='DeformableConcatAlignment'), align_levels=[2]))
