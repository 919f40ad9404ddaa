# Table 8c: ASPP context with FAM.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(context=dict(type='ASPPContext')))
