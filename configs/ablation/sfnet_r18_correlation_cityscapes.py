# Table 9c: flow predicted from the correlation of FlowNet-C.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule', max_displacement=4)))
