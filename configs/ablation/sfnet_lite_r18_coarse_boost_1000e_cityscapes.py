# Table 10c: long training in which rare classes also draw centroids from the coarse labels.
_base_ = ['./sfnet_lite_r18_release_1000e_cityscapes.py']

coarse = dict(
    type='CityscapesCoarseDataset',
    data_root='data/cityscapes',
    split='train_extra',
    pipeline=_base_.train_pipeline,
)
train_dataloader = dict(dataset=dict(coarse=coarse, coarse_classes=(14, 15, 16, 3, 12, 17, 4)))
