# Mapillary Vistas as in the authors' scripts: scale 0.5-2.0, color, blur, batch 4 per GPU, epochs.
_base_ = ['./mapillary.py']

train_dataloader = _base_.authors_loader
