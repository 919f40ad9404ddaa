# SFNet with STDC2.
_base_ = ['./sfnet_stdc1.py']

model = dict(backbone=dict(stdc_type='STDCNet2'))
