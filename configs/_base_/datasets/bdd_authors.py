# BDD100K as in the authors' scripts: scale 0.5-2.0, color, blur, batch 4 per GPU, and epochs.
_base_ = ['./bdd.py']

train_dataloader = _base_.authors_loader
# Most of their scripts for BDD100K do without uniform sampling.
train_dataloader.dataset.update(fraction=0.0)
