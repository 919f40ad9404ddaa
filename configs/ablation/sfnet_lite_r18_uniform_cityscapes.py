# Table 10c: with class-uniform sampling, all else the paper's.
_base_ = [
    '../_base_/models/sfnet_lite.py',
    '../_base_/datasets/cityscapes_uniform.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
