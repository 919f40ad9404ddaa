# Domain generalization (Table 17): trained and validated on Cityscapes, tested on the other three
# sets, each reported by itself. Augmentation and sampling are RobustNet's.
_base_ = ['./driving.py']

targets = dict(idd='idd', mapillary='mapillary', bdd='bdd100k')
crop_size = (768, 768)
colors = dict(type='RandomColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
train_pipeline = [
    dict(type='LoadImageWhole'),
    dict(type='LoadMappedAnnotations'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='CropAroundCentroid', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomApply', transforms=[colors], prob=0.5),
    dict(type='RandomGaussianBlur', sigma=(0.15, 1.3)),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
source = dict(sources=dict(_delete_=True, cityscapes='cityscapes'))
train_dataloader = dict(
    batch_size=4,
    sampler=dict(shuffle=True),
    dataset=dict(dataset=dict(pipeline=train_pipeline, **source)),
)
# Checkpoints are chosen on the source: choosing them on the targets would not be generalization.
val_dataloader = dict(dataset=source)
test_dataloader = dict(dataset=dict(sources=dict(_delete_=True, **targets)))
