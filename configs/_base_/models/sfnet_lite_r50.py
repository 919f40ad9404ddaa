# SFNet-Lite with ResNet-50.
_base_ = ['./sfnet_r50.py']

model = dict(
    decode_head=dict(type='SFNetLiteHead', in_channels=[256, 1024, 2048], in_index=[0, 2, 3])
)
