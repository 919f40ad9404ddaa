from .config import (
    enable_amp,
    enable_auto_scale_lr,
    enable_drawing,
    enable_tta,
    fit_to_cpu,
    keep_predictions,
    load_config,
    read_config,
)

__all__ = [
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_drawing',
    'enable_tta',
    'fit_to_cpu',
    'keep_predictions',
    'load_config',
    'read_config',
]
