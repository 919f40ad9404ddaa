# Table 8a: FPN without flow and context.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=None, context=dict(type='PyramidContext', mode='none')))
