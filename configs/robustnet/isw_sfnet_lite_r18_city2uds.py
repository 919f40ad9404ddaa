_base_ = './isw_sfnet_r18_city2uds.py'
model = dict(decode_head=dict(type='SFNetLiteHead', in_channels=[64, 256, 512], in_index=[0, 2, 3]))
