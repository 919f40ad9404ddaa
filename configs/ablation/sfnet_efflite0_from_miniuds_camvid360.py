# CamVid at 360x480: from mini-UDS weights, which themselves started from ImageNet.
_base_ = ['../sfnet_efflite0_camvid360.py']

load_from = 'work_dirs/sfnet_efflite0_miniuds/iter_400.pth'
