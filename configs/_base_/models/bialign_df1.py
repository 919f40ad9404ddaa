# Bi-Align with DF1.
_base_ = ['./bialign.py']

model = dict(
    backbone=dict(
        context_path=dict(arch='DF1', init_cfg=dict(checkpoint='pretrained/df1_imagenet.pth'))
    )
)
