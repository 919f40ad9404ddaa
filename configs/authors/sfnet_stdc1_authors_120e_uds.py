# The authors' SFNet-STDC1 on UDS.
_base_ = [
    '../_base_/models/sfnet_stdc1.py',
    '../_base_/datasets/uds_authors.py',
    '../_base_/schedules/authors_120e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=10000)))
