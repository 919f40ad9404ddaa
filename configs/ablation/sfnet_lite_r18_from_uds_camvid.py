# From UDS weights, as Table 14 has it for other models; the classifier starts anew.
_base_ = ['../sfnet_lite_r18_camvid.py']

load_from = 'work_dirs/sfnet_lite_r18_uds/iter_50000.pth'
