# RobustNet's schedule: 40k iterations, batch 8 (2 GPUs x 4), lr 0.01, poly 0.9, decay 5e-4.
_base_ = ['./paper_50k.py']

param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=40000, by_epoch=False)]
train_cfg = dict(max_iters=40000, val_interval=4000)
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(checkpoint=dict(interval=4000))
