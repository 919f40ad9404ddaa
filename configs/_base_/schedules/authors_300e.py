# The authors' scripts on Cityscapes: 300 epochs, batch 16, lr 0.01, decay 1e-4, and a rate that
# falls linearly (poly 1.0) and changes once an epoch.
_base_ = ['./paper_50k.py']

optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=1.0, begin=0, end=300, by_epoch=True)]
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=300, val_interval=50)
log_processor = dict(by_epoch=True)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True), checkpoint=dict(by_epoch=True, interval=50)
)
