# For the test server (Table 3).
_base_ = [
    './_base_/models/sfnet_lite_stdc2.py',
    './_base_/datasets/cityscapes_trainval.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
