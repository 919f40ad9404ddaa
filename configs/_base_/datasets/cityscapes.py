# Cityscapes alone, as distributed (labelIds: no conversion is needed). Coarse boosting (section
# 3.5) needs gtCoarse and leftImg8bit/train_extra; docs/configs.md has its option.
_base_ = ['./driving.py']

sources = dict(cityscapes='cityscapes')
only = dict(sources=dict(_delete_=True, **sources))
train_dataloader = dict(dataset=dict(dataset=only))
val_dataloader = dict(dataset=only)
test_dataloader = dict(dataset=only)
val_evaluator = dict(_delete_=True, type='BoundaryIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
