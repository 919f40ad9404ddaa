# DeepLabV3+ (https://arxiv.org/abs/1802.02611) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

model = dict(
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        dilations=(1, 12, 24, 36),
        c1_in_channels=256,
        c1_channels=48,
    )
)
