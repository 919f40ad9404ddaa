_base_ = [
    './_base_/knet_stdc1.py',
    './_base_/minicityscapes_panoptic.py',
    './_base_/panoptic_runtime.py',
]
model = dict(
    backbone=dict(init_cfg=None),
    neck=dict(
        _delete_=True,
        type='mmseg.AlignedFPN',
        in_channels=[64, 256, 512, 1024],
        out_channels=64,
        num_outs=4,
    ),
    panoptic_head=_base_.small,
    panoptic_fusion_head=_base_.classes,
)
optim_wrapper = dict(optimizer=dict(lr=0.001), paramwise_cfg=dict(_delete_=True))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
