# Table 8a: FCN with stages 3 and 4 dilated instead of strided (output stride 8).
_base_ = [
    '../_base_/models/fcn.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNetV1c',
        depth=18,
        stem_channels=128,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=_base_.norm_cfg,
    )
)
