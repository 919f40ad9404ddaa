_base_ = ['./knet_stdc1_cityscapes.py']
model = dict(neck=_base_.aligned_fpn)
load_from = 'work_dirs/sfnet_knet_stdc1_coco/epoch_36.pth'
