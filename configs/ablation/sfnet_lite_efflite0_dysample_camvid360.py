# CamVid at 360x480: DySample in place of GD-FAM.
_base_ = ['../sfnet_lite_efflite0_camvid360.py']

model = dict(decode_head=dict(align=dict(type='DySampleAlignment', scale_factor=8)))
