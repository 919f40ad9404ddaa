# The authors' scripts on BDD100K, IDD, Mapillary Vistas and, for SFNet-Lite with STDC, UDS:
# 350 epochs, batch 32 (4 on each of 8 GPUs), lr 0.02.
_base_ = ['./authors_300e.py']

optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=1.0, begin=0, end=350, by_epoch=True)]
train_cfg = dict(max_epochs=350, val_interval=50)
auto_scale_lr = dict(base_batch_size=32)
