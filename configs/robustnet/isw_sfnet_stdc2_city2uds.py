_base_ = './isw_sfnet_r18_city2uds.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='STDCPyramid',
        stdc_type='STDCNet2',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
            'stdc/stdc2_20220308-7dbd9127.pth',
        ),
    ),
    decode_head=dict(in_channels=[64, 256, 512, 1024], channels=64),
    auxiliary_head=dict(in_channels=512),
)
