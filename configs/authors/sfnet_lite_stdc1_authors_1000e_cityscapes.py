# The authors' SFNet-Lite-STDC1 on Cityscapes. There is no script: this is that of STDC2.
_base_ = [
    '../_base_/models/sfnet_lite_stdc1.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_1000e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
