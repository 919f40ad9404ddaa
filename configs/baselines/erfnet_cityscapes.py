# ERFNet (https://ieeexplore.ieee.org/document/8063438).
_base_ = [
    '../_base_/models/sfnet.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/paper_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='ERFNet', norm_cfg=_base_.norm_cfg),
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=16,
        channels=128,
        num_convs=1,
        concat_input=False,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
)
# Table 3 has it at 512x1024; logits are resized to the whole label.
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1024, 512))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
