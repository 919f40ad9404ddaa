# Table 8c: DenseASPP context with FAM.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(context=dict(type='DenseASPPContext')))
