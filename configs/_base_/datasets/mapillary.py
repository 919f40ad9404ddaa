# Mapillary Vistas v1.2 with its own 65 classes. Images are tested with the short side at 1536 and
# their center cropped, and scored there (Table 4).
_base_ = ['./driving.py']

data_root = 'data/mapillary'
num_classes = 65
test_pipeline = [
    dict(type='LoadImageFromFile'),  # MMSegInferencer looks for this name
    dict(type='LoadMappedAnnotations'),
    dict(type='Resize', scale=(100000, 1536), keep_ratio=True),
    dict(type='CenterCrop', crop_size=(1536, 1536)),
    dict(type='ResetOriginalShape'),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
vistas = dict(_delete_=True, type='MapillaryVistasDataset', data_root=data_root)
train_dataloader = dict(
    dataset=dict(dataset=dict(split='train', pipeline=_base_.train_pipeline, **vistas))
)
val_dataloader = dict(dataset=dict(split='val', pipeline=test_pipeline, **vistas))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
