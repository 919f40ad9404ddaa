# Table 18: Semantic FPN whose top-down path is aligned by FAM.
_base_ = ['./baselines/semantic_fpn_r50_ade20k.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='AlignedFPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
        context=dict(type='PyramidContext', mode='none'),
        norm_cfg=_base_.norm_cfg,
    )
)
