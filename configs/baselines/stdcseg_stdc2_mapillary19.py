_base_ = [
    '../_base_/models/stdc.py',
    '../_base_/datasets/mapillary19.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(backbone_cfg=dict(stdc_type='STDCNet2')))
