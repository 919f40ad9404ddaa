_base_ = '../sfnet_lite_stdc1_miniuds.py'
# Trained on one source of mini_uds, tested on all four: the others are unseen domains.
model = dict(
    decode_head=dict(
        type='SFNetHead',
        in_channels=[64, 256, 512, 1024],
        in_index=[0, 1, 2, 3],
        channels=64,
        align=None,
    ),
)
train_dataloader = dict(dataset=dict(sources=dict(idd=None, mapillary=None, bdd=None)))
default_hooks = dict(checkpoint=dict(save_best=None))  # that would choose on the targets
