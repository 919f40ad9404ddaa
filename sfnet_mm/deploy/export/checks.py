"""Refuses models and sizes that no graph could run as mmseg tests the model."""

import warnings

from mmseg.models import BaseSegmentor

from ..image_pipeline import check_portable, pipeline_steps
from ..model import sliding_windows
from .metadata import padding


def check_test(
    model: BaseSegmentor, size: tuple[int, int] | None, output: str, normalize: bool
) -> None:
    """Raise a ValueError, which says what to do, if the test needs what a graph cannot do."""
    check_portable(pipeline_steps(getattr(model, 'cfg', None))[1], 'the config')
    if normalize and padding(model):
        raise ValueError(
            'the data_preprocessor pads test images after their normalization: '
            'export without normalize'
        )
    slide = sliding_windows(model)
    if slide is None:
        return
    crop = slide['crop_size']
    if output != 'logits':
        raise ValueError(
            "the model is tested in sliding windows (test_cfg.mode='slide'), whose logits are "
            f'averaged: export with --output logits --size {crop[0]}x{crop[1]}, and the runtime '
            "slides, or set test_cfg.mode='whole'"
        )
    if size is not None and list(size) != crop:
        raise ValueError(
            f'size {size[0]}x{size[1]} is not that of the sliding windows of test_cfg: export with '
            f'--size {crop[0]}x{crop[1]} or --dynamic'
        )


def check_size(size: tuple[int, int], pools_context: bool = True) -> None:
    """Refuse a size that is too small for the context pooling, and warn where its cells repeat.

    Args:
        size: (height, width) of the input.
        pools_context: Whether the model has the context pooling; without it, any size is right.

    Raises:
        ValueError: A side has fewer than 64 pixels, which is two pixels at stride 32.
    """
    if not pools_context:
        return
    if min(size) < 64:
        raise ValueError(
            f'size {size[0]}x{size[1]} is too small for the context pooling: '
            'each side needs 64 pixels or more'
        )
    if min(size) < 192:
        warnings.warn(
            f'size {size[0]}x{size[1]} leaves the context pooling fewer pixels than its 6x6 cells',
            stacklevel=2,
        )
