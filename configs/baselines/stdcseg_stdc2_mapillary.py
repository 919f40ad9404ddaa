_base_ = [
    '../_base_/models/stdc2.py',
    '../_base_/datasets/mapillary.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=[
        dict(h, num_classes=_base_.num_classes) if h.type == 'FCNHead' else h
        for h in _base_.model.auxiliary_head
    ],
)
