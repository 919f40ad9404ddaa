# UDS: the four data sets together. Images and labels are resized to 1024x2048 for the test (section
# 4.2 and the authors' code); an image without a label keeps its size. uds_own_size.py tests each
# image at its own size instead; so does test-time augmentation.
_base_ = ['./driving.py']

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMappedAnnotations'),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=False),
    dict(type='ResetOriginalShape', only_with_label=True),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
