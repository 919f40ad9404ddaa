_base_ = [
    './_base_/models/sfnet_lite_stdc1.py',
    './_base_/datasets/mapillary.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(decode_head=dict(num_classes=_base_.num_classes))
