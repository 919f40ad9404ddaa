_base_ = ['./sfnet_lite_segformer_b0_ade20k.py']

model = dict(backbone=dict(embed_dims=64), decode_head=dict(in_channels=[64, 320, 512]))
