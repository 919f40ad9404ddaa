# K-Net with ResNet-50 and FPN for COCO panoptic. Other backbones replace `backbone` and the
# channels of the necks.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='MaskFormer',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
        mask_pad_value=0,
        pad_seg=True,
        seg_pad_value=255,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=4),
    panoptic_head=dict(
        type='KNetPanopticHead', num_things_classes=80, num_stuff_classes=53, num_proposals=100
    ),
    panoptic_fusion_head=dict(type='KNetFusionHead', num_things_classes=80, num_stuff_classes=53),
    train_cfg=None,
    test_cfg=dict(panoptic_on=True, instance_on=False, instance_score_thr=0.3, overlap_thr=0.6),
)
# SFNet's neck, in place of the FPN.
aligned_fpn = dict(
    _delete_=True,
    type='mmseg.AlignedFPN',
    in_channels=[256, 512, 1024, 2048],
    out_channels=256,
    num_outs=4,
    norm_cfg=norm_cfg,
)
