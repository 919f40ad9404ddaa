# Table 11: FPN with PPM, the baseline.
_base_ = ['../sfnet_df2_cityscapes.py']

model = dict(decode_head=dict(align=None))
