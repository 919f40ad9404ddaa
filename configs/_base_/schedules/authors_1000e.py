# The long training of the authors' scripts on Cityscapes: 1000 epochs, batch 16, lr 0.01.
_base_ = ['./authors_300e.py']

param_scheduler = [dict(type='PolyLR', eta_min=0, power=1.0, begin=0, end=1000, by_epoch=True)]
train_cfg = dict(max_epochs=1000)
