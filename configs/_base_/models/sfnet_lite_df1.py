# SFNet-Lite with DF1.
_base_ = ['./sfnet_df1.py']

model = dict(decode_head=dict(type='SFNetLiteHead', in_index=[0, 1, 2]))
