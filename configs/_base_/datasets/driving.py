# What the driving data sets share: they are read as distributed, and labels are mapped to the 19
# classes while they are loaded. Training is that of the paper: class-uniform sampling (section
# 3.5), scale 0.75-2.0 of the image's own size, crop 1024x1024 and flip (section 4.1).
# docs/configs.md has the options that leave a part out.
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
    dict(type='RandomRescale', ratio_range=(0.75, 2.0)),
    dict(type='CropAroundCentroid', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
# Those of the authors' scripts, for configs/authors.
authors_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='CropAroundCentroid', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomColorJitter', brightness=0.25, contrast=0.25, saturation=0.25, hue=0.25),
    dict(type='RandomGaussianBlur', sigma=(0.15, 1.3)),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
authors_loader = dict(
    batch_size=4,
    sampler=dict(infinite=False),
    dataset=dict(dataset=dict(pipeline=authors_pipeline)),
)
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
    sampler=dict(type='ClassUniformSampler', infinite=True),
    dataset=dict(
        type='ClassUniformDataset',
        fraction=0.5,
        tile=1024,
        dataset=dict(
            type='UDSDataset',
            data_root=data_root,
            split='train',
            sources=sources,
            pipeline=train_pipeline,
        ),
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
