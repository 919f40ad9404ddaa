# GD-FAM without a gate, no row of Table 10b.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='GatedDualFlowAlignmentModule', gate=None)))
