# The four data sets as distributed; labels are mapped to the 19 classes while they are loaded.
# Resize 0.75-2.0, crop 1024x1024 and flip are the paper's (section 4.1).
data_root = 'data'
sources = dict(cityscapes='cityscapes', idd='idd', mapillary='mapillary', bdd='bdd100k')
meta_keys = (
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    'source',
)
crop_size = (1024, 1024)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.75, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
test_pipeline = [
    # Under this name MMSegInferencer finds it, to put its own loader there.
    dict(type='LoadImageFromFile'),
    dict(type='ShrinkToFit', scale=(2048, 1536)),
    # The label keeps its size: logits are resized to it.
    dict(type='LoadMappedAnnotations'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
tta_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='ShrinkToFit', scale=(2048, 1536)),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.75, 1.0, 1.25, 1.5)],
            [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0.0, 1.0)],
            [dict(type='LoadMappedAnnotations')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ],
    ),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='UDSDataset',
        data_root=data_root,
        split='train',
        sources=sources,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='UDSDataset', data_root=data_root, split='val', sources=sources, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='UDSMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
