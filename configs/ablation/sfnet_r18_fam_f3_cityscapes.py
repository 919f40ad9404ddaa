# Table 8b: FAM only at the step from F3; the others upsample.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align_levels=[0]))
