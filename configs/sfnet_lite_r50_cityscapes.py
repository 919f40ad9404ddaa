_base_ = [
    './_base_/models/sfnet_lite.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/paper_50k.py',
    './_base_/default_runtime.py',
]
model = dict(backbone=dict(depth=50), decode_head=dict(in_channels=[256, 1024, 2048], channels=256))
