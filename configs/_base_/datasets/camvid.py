# CamVid with 11 classes at 720x960 (Table 14). The paper does not print the splits; the authors'
# code trains on train and val and scores test, as here.
_base_ = ['./driving.py']

data_root = 'data/camvid'
num_classes = 11
crop_size = (640, 640)
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(crop_size=crop_size)
camvid = dict(type='CamVidDataset', data_root=data_root)
train_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, split='trainval', pipeline=train_pipeline, **camvid))
)
val_dataloader = dict(
    dataset=dict(_delete_=True, split='test', pipeline=_base_.test_pipeline, **camvid)
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='BoundaryIoUMetric', iou_metrics=['mIoU', 'bIoU'])
test_evaluator = val_evaluator
