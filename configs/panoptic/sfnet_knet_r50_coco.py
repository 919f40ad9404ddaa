_base_ = ['./knet_r50_coco.py']
model = dict(neck=_base_.aligned_fpn)
