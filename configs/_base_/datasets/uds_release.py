# The recipe of the release: class-uniform sampling, resize 0.5-2.0, colour 0.25, Gaussian blur and
# batch 4 per GPU, for training by epochs.
_base_ = ['./uds.py']

train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='CropAroundCentroid', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomColorJitter', brightness=0.25, contrast=0.25, saturation=0.25, hue=0.25),
    dict(type='RandomGaussianBlur', sigma=(0.15, 1.3)),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type='ClassUniformSampler'),
    dataset=dict(
        _delete_=True,
        type='ClassUniformDataset',
        fraction=0.5,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)
