# From UDS weights, as in Table 14 for other models; the classifier starts from random weights.
_base_ = ['../sfnet_df2_camvid.py']

load_from = 'work_dirs/sfnet_df2_uds/iter_50000.pth'
