# UDS as in the authors' scripts: scale 0.5-2.0, color, blur, batch 4 per GPU, and epochs.
_base_ = ['./uds.py']

train_dataloader = _base_.authors_loader
