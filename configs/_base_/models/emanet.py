# EMANet (https://arxiv.org/abs/1907.13426) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

model = dict(
    decode_head=dict(
        type='EMAHead', channels=256, ema_channels=512, num_bases=64, num_stages=3, momentum=0.1
    )
)
