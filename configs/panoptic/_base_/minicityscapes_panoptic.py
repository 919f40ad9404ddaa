# The Cityscapes part of mini-UDS, drawn and converted on first use: for CPUs, from random weights.
_base_ = ['./cityscapes_panoptic_64e.py']

data_root = 'data/mini_uds'
annotations = data_root + '_panoptic/cityscapes_panoptic_val_mmdet'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='Resize', scale=(384, 192), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(384, 192))
mini = dict(_delete_=True, type='MiniCityscapesPanopticDataset', data_root=data_root)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(times=5, dataset=dict(split='train', pipeline=train_pipeline, **mini)),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(split='val', test_mode=True, pipeline=test_pipeline, **mini),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=annotations + '.json', seg_prefix=annotations)
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=30, end=600, by_epoch=False),
]
small = dict(num_proposals=30, in_channels=64, feedforward_channels=256, **_base_.classes)
