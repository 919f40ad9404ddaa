# CamVid at 360x480: half of all crops hold a class drawn uniformly (section 3.5), not plain crops.
_base_ = ['../sfnet_efflite0_camvid360.py']

train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(type='CropAroundCentroid', crop_size=_base_.crop_size)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ClassUniformSampler', infinite=True),
    dataset=dict(
        _delete_=True,
        type='ClassUniformDataset',
        # Half the height of an image, as the 1024 of Cityscapes.
        tile=180,
        dataset=dict(split='train', pipeline=train_pipeline, **_base_.camvid),
    ),
)
