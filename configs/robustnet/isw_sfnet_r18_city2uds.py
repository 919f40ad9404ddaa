_base_ = [
    '../_base_/models/sfnet.py',
    '../_base_/datasets/city2uds.py',
    '../_base_/schedules/robustnet_40k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='ISWEncoderDecoder',
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        deep_supervision=False,
        loss_decode=dict(_delete_=True, type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=256,
        in_index=2,
        channels=128,
        num_convs=1,
        concat_input=False,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4),
    ),
)
# The statistics are made after six epochs of 2975 images in batches of 8.
default_hooks = dict(isw=dict(type='ISWHook', begin_iter=2231))
