# The authors' SFNet-Lite-ResNet-18 on Cityscapes with coarse boosting (Table 10c): rare classes
# also draw centroids from the coarse labels.
_base_ = ['./sfnet_lite_r18_authors_1000e_cityscapes.py']

coarse = dict(type='CityscapesCoarseDataset', data_root='data/cityscapes', split='train_extra')
train_dataloader = dict(dataset=dict(coarse=coarse, coarse_classes=(14, 15, 16, 3, 12, 17, 4)))
