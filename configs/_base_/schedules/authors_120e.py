# The authors' scripts on UDS, for SFNet-Lite with ResNet-18 and SFNet with STDC:
# 120 epochs, batch 32 (4 on each of 8 GPUs), lr 0.02.
_base_ = ['./authors_300e.py']

optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=1.0, begin=0, end=120, by_epoch=True)]
train_cfg = dict(max_epochs=120, val_interval=20)
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(checkpoint=dict(interval=20))
