# 20k iterations of batch 16 for CamVid's 367 training images; the paper does not give their number.
_base_ = ['./paper_50k.py']

param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=20000, by_epoch=False)]
train_cfg = dict(max_iters=20000, val_interval=2000)
# Nothing is chosen on the test set.
default_hooks = dict(checkpoint=dict(save_best=None))
