_base_ = ['./knet_r50.py']
url = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/stdc/'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseg.STDCPyramid',
        stdc_type='STDCNet2',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint=url + 'stdc2_20220308-7dbd9127.pth'),
    ),
    neck=dict(in_channels=[64, 256, 512, 1024]),
)
aligned_fpn = dict(in_channels=[64, 256, 512, 1024])
