# Table 18: Semantic FPN with one GD-FAM, at the step to the finest map; the others upsample.
_base_ = ['./sfnet_df2_ade20k.py']

model = dict(neck=dict(align=dict(type='GatedDualFlowAlignmentModule'), align_levels=[0]))
