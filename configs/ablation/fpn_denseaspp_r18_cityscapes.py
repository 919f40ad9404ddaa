# Table 8c: DenseASPP context, without flow.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=None, context=dict(type='DenseASPPContext')))
