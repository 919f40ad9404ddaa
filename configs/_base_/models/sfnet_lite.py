# SFNet-Lite with ResNet-18: another decoder on the backbone of SFNet.
_base_ = ['./sfnet.py']

model = dict(decode_head=dict(type='SFNetLiteHead', in_channels=[64, 256, 512], in_index=[0, 2, 3]))
