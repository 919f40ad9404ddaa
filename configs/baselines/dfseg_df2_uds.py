_base_ = [
    '../_base_/models/dfseg_df2.py',
    '../_base_/datasets/uds.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
