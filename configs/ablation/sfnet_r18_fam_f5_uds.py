# Table 16: one FAM, at the step from F5; the others upsample.
_base_ = ['../sfnet_r18_uds.py']

model = dict(decode_head=dict(align_levels=[2]))
