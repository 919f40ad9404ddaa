# SFNet-Lite with 64 channels on EfficientNet-Lite1.
_base_ = ['./sfnet_efflite1.py']

model = dict(decode_head=dict(type='SFNetLiteHead', in_channels=[24, 112, 320], in_index=[0, 2, 3]))
