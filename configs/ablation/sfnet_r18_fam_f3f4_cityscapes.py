# Table 8b: FAM only at the steps from F3 and F4; the others upsample.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align_levels=[0, 1]))
