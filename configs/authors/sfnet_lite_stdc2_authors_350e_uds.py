# The authors' SFNet-Lite-STDC2 on UDS.
_base_ = [
    '../_base_/models/sfnet_lite_stdc2.py',
    '../_base_/datasets/uds_authors.py',
    '../_base_/schedules/authors_350e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
