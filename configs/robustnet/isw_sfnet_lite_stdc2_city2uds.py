_base_ = './isw_sfnet_lite_r18_city2uds.py'
model = dict(
    backbone=dict(
        _delete_=True, type='STDCPyramid', stdc_type='STDCNet2', norm_cfg=_base_.norm_cfg
    ),
    decode_head=dict(in_channels=[64, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
