# BDD100K as in the authors' scripts: scale 0.5-2.0, color, blur, batch 4 per GPU, and epochs.
_base_ = ['./bdd.py']

train_dataloader = dict(
    batch_size=4,
    sampler=dict(infinite=False),
    dataset=dict(
        fraction=0.0,  # most of their scripts for BDD100K do without uniform sampling
        dataset=dict(pipeline=_base_.authors_pipeline),
    ),
)
