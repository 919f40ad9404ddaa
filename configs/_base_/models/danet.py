# DANet (https://arxiv.org/abs/1809.02983) with ResNet-50 at output stride 8.
_base_ = ['./dilated_r50.py']

model = dict(decode_head=dict(type='DAHead', pam_channels=64))
