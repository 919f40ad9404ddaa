# PSPNet (https://arxiv.org/abs/1612.01105) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

model = dict(decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6)))
