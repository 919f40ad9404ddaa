import logging
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

# pytest loads this file also where tests/conftest.py leaves the folder out.
if find_spec('mmdet') is not None:
    from panoptic_helpers import (
        CHANNELS,
        HEIGHT,
        NUM_PROPOSALS,
        NUM_STUFF,
        NUM_THINGS,
        WIDTH,
        make_sample,
    )

    import sfnet_mm.panoptic  # noqa: F401


@pytest.fixture(autouse=True)
def mmdet_scope():
    torch.set_num_threads(1)  # These sizes gain nothing from more.
    # init_weights logs every parameter.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def head_cfg():
    return dict(
        type='KNetPanopticHead',
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        num_proposals=NUM_PROPOSALS,
        in_channels=CHANNELS,
        feedforward_channels=48,
    )


@pytest.fixture
def levels():
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(2, CHANNELS, HEIGHT // s, WIDTH // s, generator=generator)
        for s in (4, 8, 16, 32)
    )


@pytest.fixture
def scene():
    """Two images: three things (two overlap), one stuff class, void; and stuff only."""
    first = np.full((HEIGHT, WIDTH), 255, dtype=np.int64)
    first[30:] = 4
    things = [(0, (10, 41, 5, 30)), (2, (20, 50, 22, 47)), (0, (3, 12, 60, 90))]
    for label, (top, bottom, left, right) in things:
        first[top:bottom, left:right] = label
    second = np.full((HEIGHT, WIDTH), 3, dtype=np.int64)
    second[17:] = 4
    return [make_sample(things, first), make_sample([], second)]
