# Cityscapes alone, as distributed (labelIds: no conversion is needed).
_base_ = ['./uds.py']

sources = dict(cityscapes='cityscapes')
only = dict(sources=dict(_delete_=True, **sources))
train_dataloader = dict(dataset=only)
val_dataloader = dict(dataset=only)
test_dataloader = dict(dataset=only)
val_evaluator = dict(_delete_=True, type='BoundaryIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
