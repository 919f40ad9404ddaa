_base_ = '../sfnet_lite_stdc1_miniuds.py'
# Trained on one source of mini-UDS, tested on all four: the others are unseen domains.
train_dataloader = dict(dataset=dict(sources=dict(idd=None, mapillary=None, bdd=None)))
default_hooks = dict(checkpoint=dict(save_best=None))  # that would choose on the targets
