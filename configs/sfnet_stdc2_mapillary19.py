_base_ = [
    './_base_/models/sfnet_stdc2.py',
    './_base_/datasets/mapillary19.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
