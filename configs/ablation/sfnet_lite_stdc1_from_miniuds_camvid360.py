# CamVid at 360x480 from mini-UDS weights; the classifier, of other classes, starts anew.
_base_ = ['../ablation/sfnet_lite_stdc1_camvid360.py']

load_from = 'work_dirs/sfnet_lite_stdc1_miniuds/iter_300.pth'
