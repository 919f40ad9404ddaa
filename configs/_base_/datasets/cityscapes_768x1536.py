# Cityscapes for rows of Table 3 that are tested at 768x1536; logits are resized to the whole label.
_base_ = ['./cityscapes.py']

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1536, 768))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
