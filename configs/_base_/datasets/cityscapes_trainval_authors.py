# Cityscapes for the test server as in the authors' scripts.
_base_ = ['./cityscapes_trainval.py']

train_dataloader = dict(
    batch_size=2,
    sampler=dict(infinite=False),
    dataset=dict(dataset=dict(pipeline=_base_.authors_pipeline)),
)
