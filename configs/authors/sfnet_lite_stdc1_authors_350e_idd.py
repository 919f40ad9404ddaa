# The authors' SFNet-Lite-STDC1 on IDD.
_base_ = [
    '../_base_/models/sfnet_lite_stdc1.py',
    '../_base_/datasets/idd_authors.py',
    '../_base_/schedules/authors_350e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
