# From UDS weights, as Table 14 has it for other models; the classifier starts anew.
_base_ = ['../sfnet_df2_camvid.py']

load_from = 'work_dirs/sfnet_df2_uds/iter_50000.pth'
