# UDS by the recipe of the release: 350 epochs, lr 0.02, batch 4 on each of 8 GPUs.
_base_ = [
    '../_base_/models/sfnet_lite_stdc1.py',
    '../_base_/datasets/uds_release.py',
    '../_base_/schedules/release_1000e.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=1.0, begin=0, end=350, by_epoch=True)]
train_cfg = dict(max_epochs=350)
