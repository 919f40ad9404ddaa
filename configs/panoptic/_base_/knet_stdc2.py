_base_ = ['./knet_stdc1.py']
model = dict(
    backbone=dict(
        stdc_type='STDCNet2', init_cfg=dict(checkpoint=_base_.url + 'stdc2_20220308-7dbd9127.pth')
    )
)
