# Cityscapes with class-uniform sampling: half of an epoch are crops around class centroids.
_base_ = ['./cityscapes.py']

train_pipeline = [
    dict(type='CropAroundCentroid', crop_size=_base_.crop_size) if t.type == 'RandomCrop' else t
    for t in _base_.train_pipeline
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ClassUniformSampler', infinite=True),
    dataset=dict(
        _delete_=True,
        type='ClassUniformDataset',
        fraction=0.5,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)
