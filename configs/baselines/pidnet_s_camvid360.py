# CamVid at 360x480: PIDNet-S.
_base_ = [
    '../_base_/models/pidnet_s.py',
    '../_base_/datasets/camvid360.py',
    '../_base_/schedules/camvid_20k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=_base_.num_classes)
)
# PIDNet learns edges; they are drawn from the label.
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='GenerateEdge', edge_width=4),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
