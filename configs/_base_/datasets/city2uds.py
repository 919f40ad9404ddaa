# Domain generalization (Table 17): trained and validated on Cityscapes, tested on the other three
# sets, each reported by itself. Augmentation and sampling are RobustNet's.
data_root = 'data'
targets = dict(idd='idd', mapillary='mapillary', bdd='bdd100k')
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
crop_size = (768, 768)
colors = dict(type='RandomColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='CropAroundCentroid', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomApply', transforms=[colors], prob=0.5),
    dict(type='RandomGaussianBlur', sigma=(0.15, 1.3)),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),  # MMSegInferencer looks for this name
    dict(type='ShrinkToFit', scale=(2048, 1536)),
    # The label keeps its size: logits are resized to it.
    dict(type='LoadMappedAnnotations'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
source = dict(type='UDSDataset', data_root=data_root, sources=dict(cityscapes='cityscapes'))
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ClassUniformSampler', infinite=True, shuffle=True),
    dataset=dict(
        type='ClassUniformDataset',
        fraction=0.5,
        tile=1024,
        dataset=dict(split='train', pipeline=train_pipeline, **source),
    ),
)
# Checkpoints are chosen on the source: choosing them on the targets would not be generalization.
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline=test_pipeline, **source),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='UDSDataset', data_root=data_root, split='val', sources=targets, pipeline=test_pipeline
    ),
)
val_evaluator = dict(type='UDSMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
