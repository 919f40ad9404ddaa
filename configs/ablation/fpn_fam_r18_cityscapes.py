# Table 8a: FPN with FAM, without context.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(context=dict(type='PyramidContext', mode='none')))
