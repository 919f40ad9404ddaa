_base_ = [
    '../_base_/models/bialign.py',
    '../_base_/datasets/uds.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(context_path=dict(arch='DF1')))
