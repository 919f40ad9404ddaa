# Table 18: Semantic FPN with one GD-FAM, at the step to the finest map; the others upsample.
_base_ = ['./baselines/semantic_fpn_df2_ade20k.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='AlignedFPN',
        in_channels=[128, 256, 512],
        out_channels=256,
        num_outs=3,
        align=dict(type='GatedDualFlowAlignmentModule'),
        align_levels=[0],
        context=dict(type='PyramidContext', mode='none'),
        norm_cfg=_base_.norm_cfg,
    )
)
