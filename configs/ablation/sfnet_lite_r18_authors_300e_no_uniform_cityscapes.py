# Table 10c: short training without class-uniform sampling.
_base_ = ['../authors/sfnet_lite_r18_authors_300e_cityscapes.py']

train_dataloader = dict(dataset=dict(fraction=0.0))
