# Table 8a: FCN.
_base_ = [
    '../_base_/models/fcn.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
