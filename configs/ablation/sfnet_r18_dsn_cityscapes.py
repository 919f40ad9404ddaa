# Section 3.5: deep supervision of every fused level.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(deep_supervision=True))
