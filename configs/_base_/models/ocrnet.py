# OCRNet (https://arxiv.org/abs/1909.11065) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

head = _base_.model.decode_head
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        dict(
            head,
            type='FCNHead',
            in_channels=1024,
            in_index=2,
            channels=256,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(head.loss_decode, loss_weight=0.4),
        ),
        dict(head, type='OCRHead', ocr_channels=256),
    ],
)
