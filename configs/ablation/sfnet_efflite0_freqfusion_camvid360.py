# CamVid at 360x480: FreqFusion in place of FAM.
_base_ = ['../sfnet_efflite0_camvid360.py']

model = dict(decode_head=dict(align=dict(type='FreqFusionAlignment')))
