# CamVid with 11 classes at 360x480, the resolution of the SegNet tutorial.
_base_ = ['./camvid.py']

crop_size = (320, 320)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(_delete_=True, split='train', pipeline=train_pipeline, **_base_.camvid),
)
val_dataloader = dict(dataset=dict(split='val'))
test_dataloader = val_dataloader
