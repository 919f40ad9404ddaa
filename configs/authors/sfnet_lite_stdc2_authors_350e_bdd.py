# The authors' SFNet-Lite-STDC2 on BDD100K.
_base_ = [
    '../_base_/models/sfnet_lite_stdc2.py',
    '../_base_/datasets/bdd_authors.py',
    '../_base_/schedules/authors_350e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
train_dataloader = dict(dataset=dict(fraction=0.5))
