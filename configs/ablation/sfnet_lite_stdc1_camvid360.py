# CamVid at 360x480: SFNet-Lite, one GD-FAM.
_base_ = [
    '../_base_/models/sfnet_lite_stdc1.py',
    '../_base_/datasets/camvid360.py',
    '../_base_/schedules/camvid_20k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=_base_.num_classes,
    ),
)
