# IDD as in the authors' scripts: scale 0.5-2.0, color, blur, batch 4 per GPU, and epochs.
_base_ = ['./idd.py']

train_dataloader = dict(
    batch_size=4,
    sampler=dict(infinite=False),
    dataset=dict(dataset=dict(pipeline=_base_.authors_pipeline)),
)
