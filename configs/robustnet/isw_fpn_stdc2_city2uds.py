_base_ = './isw_sfnet_stdc2_city2uds.py'
model = dict(decode_head=dict(align=None))
