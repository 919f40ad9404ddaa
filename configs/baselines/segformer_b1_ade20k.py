_base_ = [
    '../_base_/models/segformer.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/ade20k_adamw_160k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        embed_dims=64,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
            'segformer/mit_b1_20220624-02e5a6a1.pth'
        ),
    ),
    decode_head=dict(in_channels=[64, 128, 320, 512], num_classes=_base_.num_classes),
)
