# Table 14: from UDS weights; the classifier, of other classes, starts from random weights.
_base_ = ['../sfnet_stdc2_camvid.py']

load_from = 'work_dirs/sfnet_stdc2_uds/iter_50000.pth'
