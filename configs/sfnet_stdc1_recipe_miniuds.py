# The whole recipe on drawn scenes, to try it on a CPU: class-uniform sampling, deep supervision,
# hard pixels and scales relative to the image. docs/configs.md says how to leave one out.
_base_ = [
    './_base_/models/sfnet_stdc1.py',
    './_base_/datasets/miniuds_recipe.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
iters = 300
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(init_cfg=None),
    decode_head=dict(loss_decode=dict(min_kept=20000)),
)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=iters, by_epoch=False)]
train_cfg = dict(max_iters=iters, val_interval=iters // 3)
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=iters // 3))
