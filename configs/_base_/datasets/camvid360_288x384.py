# CamVid with 11 classes at 360x480, trained on crops of 288x384 in batches of 8.
_base_ = ['./camvid.py']

crop_size = (288, 384)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.75, 1.75), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(_delete_=True, split='train', pipeline=train_pipeline, **_base_.camvid),
)
# Experiments at this size are scored on val; test is kept for the end.
val_dataloader = dict(dataset=dict(split='val'))
test_dataloader = dict(dataset=dict(split='val'))
# The share of a batch that the paper keeps: 100000 of 2 x 1024 x 1024 pixels.
min_kept = 42000
