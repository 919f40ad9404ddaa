# Cityscapes as in the authors' scripts: scale 0.5-2.0, color, blur, batch 2 per GPU, and epochs.
_base_ = ['./cityscapes.py']

train_dataloader = dict(
    batch_size=2,
    sampler=dict(infinite=False),
    dataset=dict(dataset=dict(pipeline=_base_.authors_pipeline)),
)
