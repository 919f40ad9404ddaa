custom_imports = dict(imports=['sfnet_mm'], allow_failed_imports=False)
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)

tta_model = dict(type='SegTTAModel')
# Drawn with `tools/test.py --show-dir`.
custom_hooks = [dict(type='FlowVisualizationHook', draw=False)]
