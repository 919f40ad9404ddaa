# Semantic FPN and SFNet on ADE20K: 160k iterations of batch 16 (section 4.6). Rate and decay, which
# the paper does not print, are those of mmseg's Semantic FPN.
_base_ = ['./paper_50k.py']

optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=160000, by_epoch=False)
]
train_cfg = dict(max_iters=160000, val_interval=16000)
