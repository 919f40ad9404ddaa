# Mini-UDS on top of ImageNet weights, for ablation/sfnet_efflite0_from_miniuds_camvid360.py.
_base_ = [
    './_base_/models/sfnet_efflite0.py',
    './_base_/datasets/miniuds.py',
    './_base_/schedules/camvid_adamw_5k.py',
    './_base_/default_runtime.py',
]
iters = 400
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=20000)),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=30, end=iters, by_epoch=False),
]
train_cfg = dict(max_iters=iters, val_interval=iters // 4)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=iters // 4, max_keep_ckpts=2)
)
