# mmseg's schedule of Semantic FPN on ADE20K: 80k iterations, batch 16. Table 18 of the SFNet paper
# has 160k iterations (section 4.6).
_base_ = ['./paper_50k.py']

optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=80000, by_epoch=False)]
train_cfg = dict(max_iters=80000, val_interval=8000)
