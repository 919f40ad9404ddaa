_base_ = ['./stdcseg_stdc1_mapillary.py']
model = dict(
    backbone=dict(
        backbone_cfg=dict(
            stdc_type='STDCNet2',
            init_cfg=dict(
                checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
                'stdc/stdc2_20220308-7dbd9127.pth'
            ),
        )
    )
)
