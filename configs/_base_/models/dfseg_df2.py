# DF-Seg with DF2.
_base_ = ['./dfseg.py']

model = dict(backbone=dict(arch='DF2', init_cfg=dict(checkpoint='pretrained/df2_imagenet.pth')))
