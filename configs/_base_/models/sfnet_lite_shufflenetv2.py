# SFNet-Lite with ShuffleNetV2.
_base_ = ['./sfnet_shufflenetv2.py']

model = dict(decode_head=dict(type='SFNetLiteHead', in_channels=[24, 232, 464], in_index=[0, 2, 3]))
