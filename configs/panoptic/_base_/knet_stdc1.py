_base_ = ['./knet_r50.py']
url = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/stdc/'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseg.STDCPyramid',
        stdc_type='STDCNet1',
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint=url + 'stdc1_20220308-5368626c.pth'),
    ),
    neck=dict(in_channels=[64, 256, 512, 1024]),
)
aligned_fpn = dict(in_channels=[64, 256, 512, 1024])
