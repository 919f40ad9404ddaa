# The authors' SFNet-ResNet-18 on Cityscapes.
_base_ = [
    '../_base_/models/sfnet.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_300e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=10000)))
