_base_ = './sfnet_lite_stdc1_city2miniuds.py'
model = dict(
    decode_head=dict(
        type='SFNetHead', in_channels=[64, 256, 512, 1024], in_index=[0, 1, 2, 3], channels=64
    )
)
