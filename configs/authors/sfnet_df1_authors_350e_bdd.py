# The authors' SFNet-DF1 on BDD100K.
_base_ = [
    '../_base_/models/sfnet_df1.py',
    '../_base_/datasets/bdd_authors.py',
    '../_base_/schedules/authors_350e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=10000)))
optim_wrapper = dict(optimizer=dict(lr=0.01))
