# Table 8a: FPN with PPM, the baseline of SFNet.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=None))
