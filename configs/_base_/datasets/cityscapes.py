# Cityscapes alone, as distributed (labelIds: no conversion is needed). Coarse boosting (section
# 3.5), where gtCoarse and leftImg8bit/train_extra are there, is one line:
#   --cfg-options train_dataloader.dataset.coarse.type=CityscapesCoarseDataset
#   train_dataloader.dataset.coarse.data_root=data/cityscapes
#   train_dataloader.dataset.coarse.split=train_extra
_base_ = ['./driving.py']

sources = dict(cityscapes='cityscapes')
only = dict(sources=dict(_delete_=True, **sources))
train_dataloader = dict(dataset=dict(dataset=only))
val_dataloader = dict(dataset=only)
test_dataloader = dict(dataset=only)
val_evaluator = dict(_delete_=True, type='BoundaryIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
