_base_ = [
    './_base_/models/sfnet_lite.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/ade20k_adamw_160k.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='MixVisionTransformer',
        embed_dims=32,
        num_layers=[2, 2, 2, 2],
        num_heads=[1, 2, 5, 8],
        sr_ratios=[8, 4, 2, 1],
        qkv_bias=True,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
            'segformer/mit_b0_20220624-7e0fe6dd.pth',
        ),
    ),
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        deep_supervision=False,
        in_channels=[32, 160, 256],
        num_classes=_base_.num_classes,
        loss_decode=dict(_delete_=True, type='CrossEntropyLoss'),
    ),
)
