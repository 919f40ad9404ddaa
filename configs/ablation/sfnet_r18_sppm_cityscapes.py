# The summing form of PPM that the release offers.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(context=dict(type='PyramidContext', mode='sppm')))
