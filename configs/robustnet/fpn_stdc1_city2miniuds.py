_base_ = './sfnet_stdc1_city2miniuds.py'
model = dict(decode_head=dict(align=None))
