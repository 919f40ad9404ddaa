_base_ = [
    '../_base_/models/bialign_df1.py',
    '../_base_/datasets/idd.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
