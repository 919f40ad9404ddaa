_base_ = './isw_sfnet_r18_city2uds.py'
model = dict(decode_head=dict(align=None))
