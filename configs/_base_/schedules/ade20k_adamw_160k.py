# SegFormer's schedule on ADE20K (Table 19): AdamW, 160k iterations, batch 16.
_base_ = ['./paper_50k.py']

no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.00006, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(norm=no_decay, pos_block=no_decay, head=dict(lr_mult=10.0))
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=1.0, begin=1500, end=160000, by_epoch=False),
]
train_cfg = dict(max_iters=160000, val_interval=16000)
