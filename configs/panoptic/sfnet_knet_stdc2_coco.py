_base_ = ['./knet_stdc2_coco.py']
model = dict(neck=_base_.aligned_fpn)
