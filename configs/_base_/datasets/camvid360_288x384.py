# CamVid with 11 classes at 360x480, trained on crops of 288x384 in batches of 8.
_base_ = ['./camvid360.py']

crop_size = (288, 384)
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(ratio_range=(0.75, 1.75))
train_pipeline[3].update(crop_size=crop_size)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
# As in camvid360.py, experiments are scored on val; test is kept for the end.
# The share of a batch that the paper keeps: 100000 of 2 x 1024 x 1024 pixels.
min_kept = 42000
