_base_ = ['./knet_r50_cityscapes.py']
model = dict(neck=_base_.aligned_fpn)
load_from = 'work_dirs/sfnet_knet_r50_coco/epoch_36.pth'
