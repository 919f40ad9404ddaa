_base_ = ['./knet_stdc2_cityscapes.py']
model = dict(neck=_base_.aligned_fpn)
load_from = 'work_dirs/sfnet_knet_stdc2_coco/epoch_36.pth'
