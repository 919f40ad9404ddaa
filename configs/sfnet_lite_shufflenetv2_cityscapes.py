_base_ = [
    './_base_/models/sfnet_lite.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='ShuffleNetV2', width=1.0, norm_cfg=_base_.norm_cfg),
    decode_head=dict(in_channels=[24, 232, 464], channels=64),
)
