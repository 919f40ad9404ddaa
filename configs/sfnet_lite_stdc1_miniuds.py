# From random weights to a usable model in minutes on two CPU cores: the data set is generated on
# first use, so this runs anywhere. Smaller in everything but the network.
_base_ = [
    './_base_/models/sfnet_lite_stdc1.py',
    './_base_/datasets/miniuds.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
iters = 300
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(init_cfg=None),
    decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=20000)),
)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=20, end=iters, by_epoch=False),
]
train_cfg = dict(max_iters=iters, val_interval=iters // 10)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=iters // 3, max_keep_ckpts=2)
)
custom_hooks = [dict(type='FlowVisualizationHook', draw=False, interval=12)]  # one a source
