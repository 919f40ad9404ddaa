_base_ = [
    './_base_/models/sfnet_efflite0.py',
    './_base_/datasets/camvid360_288x384.py',
    './_base_/schedules/camvid_adamw_5k.py',
    './_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        deep_supervision=False,
        num_classes=_base_.num_classes,
        loss_decode=dict(min_kept=_base_.min_kept),
    ),
)
