# DANet (https://arxiv.org/abs/1809.02983) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

norm_cfg = dict(type='SyncBN', requires_grad=True)
loss = dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000)
model = dict(
    decode_head=dict(
        _delete_=True,
        type='DAHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        pam_channels=64,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=loss,
    ),
)
