# The authors' SFNet-Lite-ResNet-18 for the test server of Cityscapes (Table 3), trained on train
# and val; a test writes the masks that the server takes.
_base_ = [
    '../_base_/models/sfnet_lite.py',
    '../_base_/datasets/cityscapes_trainval_authors.py',
    '../_base_/schedules/authors_1000e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(deep_supervision=False))
coarse = dict(type='CityscapesCoarseDataset', data_root='data/cityscapes', split='train_extra')
train_dataloader = dict(dataset=dict(coarse=coarse, coarse_classes=(14, 15, 16, 3, 12, 17, 4)))
