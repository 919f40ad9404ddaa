# CamVid at 360x480: STDC-Seg.
_base_ = [
    '../_base_/models/stdc.py',
    '../_base_/datasets/camvid360.py',
    '../_base_/schedules/camvid_20k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=[
        dict(h, num_classes=_base_.num_classes) if h.type == 'FCNHead' else h
        for h in _base_.model.auxiliary_head
    ],
)
