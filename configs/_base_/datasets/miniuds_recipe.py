# Mini-UDS, trained by the recipe of the paper: class-uniform sampling, and scales of the image's
# own size, which is small here.
_base_ = ['./driving.py']

data_root = 'data/mini_uds'
crop_size = (128, 128)
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(crop_size=crop_size)
mini = dict(type='MiniUDSDataset', data_root=data_root, sources=dict(bdd='bdd'))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(tile=128, dataset=dict(pipeline=train_pipeline, **mini)),
)
val_dataloader = dict(num_workers=1, dataset=mini)
test_dataloader = val_dataloader
