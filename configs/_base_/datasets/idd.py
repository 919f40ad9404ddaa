# IDD alone, as distributed, with the 19 classes of UDS.
_base_ = ['./driving.py']

sources = dict(idd='idd')
only = dict(sources=dict(_delete_=True, **sources))
train_dataloader = dict(dataset=dict(dataset=only))
val_dataloader = dict(dataset=only)
test_dataloader = dict(dataset=only)
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
