# The summing form of PPM that the authors' code offers.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(context=dict(type='PyramidContext', mode='sppm')))
