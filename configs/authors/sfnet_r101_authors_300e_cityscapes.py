# The authors' SFNet-ResNet-101 on Cityscapes.
_base_ = [
    '../_base_/models/sfnet_r101.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_300e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=10000)))
