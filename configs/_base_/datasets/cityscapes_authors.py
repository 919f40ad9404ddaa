# Cityscapes as in the authors' scripts: scale 0.5-2.0, color, blur, batch 2 per GPU, and epochs.
_base_ = ['./cityscapes.py']

train_dataloader = dict(_base_.authors_loader, batch_size=2)
