# Mapillary Vistas v1.2 alone, with the 19 classes of UDS; see mapillary.py for its own 65.
_base_ = ['./driving.py']

sources = dict(mapillary='mapillary')
only = dict(sources=dict(_delete_=True, **sources))
train_dataloader = dict(dataset=dict(dataset=only))
val_dataloader = dict(dataset=only)
test_dataloader = dict(dataset=only)
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
