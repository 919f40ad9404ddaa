# Mini-UDS, trained by the recipe of the paper: class-uniform sampling, and scales of the image's
# own size, which is small here.
_base_ = ['./driving.py']

data_root = 'data/mini_uds'
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomRescale', ratio_range=(0.75, 2.0)),
    dict(type='CropAroundCentroid', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
mini = dict(type='MiniUDSDataset', data_root=data_root, sources=dict(bdd='bdd'))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(tile=128, dataset=dict(pipeline=train_pipeline, **mini)),
)
val_dataloader = dict(num_workers=1, dataset=mini)
test_dataloader = val_dataloader
