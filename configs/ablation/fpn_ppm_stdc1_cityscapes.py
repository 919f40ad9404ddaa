# Table 11: FPN with PPM, the baseline.
_base_ = ['../sfnet_stdc1_cityscapes.py']

model = dict(decode_head=dict(align=None))
