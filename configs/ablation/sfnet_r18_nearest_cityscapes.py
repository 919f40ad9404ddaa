# Table 9a: nearest neighbor inside of FAM.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule', upsample='nearest')))
