# Table 10b: GD-FAM without gate.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='GatedDualFlowAlignmentModule', gate=None)))
