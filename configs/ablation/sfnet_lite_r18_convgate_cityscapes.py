# Table 10b: GD-FAM with a convolution gate (attention is the default).
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='GatedDualFlowAlignmentModule', gate='conv')))
