# CamVid at 360x480: FPN with PPM, the baseline of SFNet.
_base_ = ['../sfnet_efflite0_camvid360.py']

model = dict(decode_head=dict(align=None))
