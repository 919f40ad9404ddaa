# FAM also in front of the concatenation.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align_fusion=True))
