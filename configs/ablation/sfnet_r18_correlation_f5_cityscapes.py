# Table 9c: one FAM, at the step from F5, whose flow comes from the correlation of FlowNet-C.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(
    decode_head=dict(align=dict(type='FlowAlignmentModule', max_displacement=4), align_levels=[2])
)
