# Table 16: one deformable convolution, at the step from F5; the others upsample.
_base_ = ['../sfnet_r18_uds.py']

model = dict(decode_head=dict(align=dict(type='DeformableConcatAlignment'), align_levels=[2]))
