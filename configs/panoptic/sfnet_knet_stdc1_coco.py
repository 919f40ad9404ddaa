_base_ = ['./knet_stdc1_coco.py']
model = dict(neck=_base_.aligned_fpn)
