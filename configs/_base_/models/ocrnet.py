# OCRNet (https://arxiv.org/abs/1909.11065) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

norm_cfg = dict(type='SyncBN', requires_grad=True)
loss = dict(type='HardPixelCrossEntropy', thresh=0.7, min_kept=100000)
shared = dict(num_classes=19, norm_cfg=norm_cfg, align_corners=True)
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        dict(
            type='FCNHead',
            in_channels=1024,
            in_index=2,
            channels=256,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.1,
            loss_decode=dict(loss_weight=0.4, **loss),
            **shared,
        ),
        dict(
            type='OCRHead',
            in_channels=2048,
            in_index=3,
            channels=512,
            ocr_channels=256,
            dropout_ratio=0.1,
            loss_decode=loss,
            **shared,
        ),
    ],
)
