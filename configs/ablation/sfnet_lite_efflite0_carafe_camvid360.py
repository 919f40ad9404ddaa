# CamVid at 360x480: CARAFE in place of GD-FAM.
_base_ = ['../sfnet_lite_efflite0_camvid360.py']

model = dict(decode_head=dict(align=dict(type='CARAFEAlignment', scale_factor=8)))
