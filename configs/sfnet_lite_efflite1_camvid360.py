_base_ = ['./sfnet_efflite1_camvid360.py']
model = dict(decode_head=dict(type='SFNetLiteHead', in_channels=[24, 112, 320], in_index=[0, 2, 3]))
