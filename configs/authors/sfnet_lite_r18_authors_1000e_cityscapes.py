# The authors' SFNet-Lite-ResNet-18 on Cityscapes.
_base_ = [
    '../_base_/models/sfnet_lite.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_1000e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
