# Cityscapes panoptic: crops of 2048 x 1024 of images resized to 0.5 to 2 times, 64 epochs as 8
# rounds of 8. The annotations are written by tools/dataset_converters/cityscapes_panoptic.py.
_base_ = ['./panoptic_data.py']

data_root = 'data/cityscapes/'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=[(1024, 512), (4096, 2048)], keep_ratio=True),
    # (width, height), unlike mmseg's transform of this name.
    dict(type='RandomCrop', crop_size=(2048, 1024), allow_negative_crop=True),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(2048, 1024))
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='RepeatDataset',
        times=8,
        dataset=dict(
            type='CityscapesPanopticDataset',
            data_root=data_root,
            ann_file='gtFine/cityscapes_panoptic_train_mmdet.json',
            data_prefix=dict(
                img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train_mmdet/'
            ),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='CityscapesPanopticDataset',
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val_mmdet.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val_mmdet/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CityscapesPanopticMetric',
    ann_file=data_root + 'gtFine/cityscapes_panoptic_val_mmdet.json',
    seg_prefix=data_root + 'gtFine/cityscapes_panoptic_val_mmdet/',
)
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(type='MultiStepLR', milestones=[7], gamma=0.1, begin=0, end=8, by_epoch=True),
]
classes = dict(num_things_classes=8, num_stuff_classes=11)
