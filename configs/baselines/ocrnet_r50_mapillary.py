_base_ = [
    '../_base_/models/ocrnet.py',
    '../_base_/datasets/mapillary.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    decode_head=[dict(h, num_classes=_base_.num_classes) for h in _base_.model.decode_head]
)
