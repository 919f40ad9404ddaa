# Drawn street scenes in the layouts of the four data sets, generated on first use.
_base_ = ['./driving.py']

data_root = 'data/mini_uds'
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(256, 128), ratio_range=(0.75, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
mini_sources = dict(_base_.sources, bdd='bdd')
mini = dict(type='MiniUDSDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        _delete_=True, split='train', sources=mini_sources, pipeline=train_pipeline, **mini
    ),
)
val_dataloader = dict(batch_size=1, num_workers=1, dataset=dict(mini, sources=dict(bdd='bdd')))
test_dataloader = val_dataloader
