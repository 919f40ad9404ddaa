_base_ = [
    '../_base_/models/bisenetv2.py',
    '../_base_/datasets/cityscapes_768x1536.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
