# Table 16: one FAM in place of GD-FAM.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule')))
