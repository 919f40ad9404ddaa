# Table 16: FPN with PPM, the baseline of SFNet.
_base_ = ['../sfnet_r18_uds.py']

model = dict(decode_head=dict(align=None))
