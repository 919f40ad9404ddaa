# Table 3 calls it DDRNet-23; 5.7 M parameters are those of DDRNet-23-slim.
_base_ = [
    '../_base_/models/ddrnet_23_slim.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
