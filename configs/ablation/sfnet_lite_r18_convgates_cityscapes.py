# Table 10b: GD-FAM with two gates from convolutions, one for each map.
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='SeparateGatesAlignmentModule', gate='conv')))
