"""Warnings of the hosts that are known and harmless, provoked in the hosts themselves."""

import warnings

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.visualization import Visualizer
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.utils import resize

from sfnet_mm.utils.known_warnings import ignore_python_warnings


def draw_nothing():
    Visualizer.get_instance('of the warnings')  # mmseg's hook looks for one
    SegVisualizationHook(draw=False)


PROVOKED = {
    'avg_non_ignore': CrossEntropyLoss,
    'bias before a normalization': lambda: ConvModule(2, 2, 1, bias=True, norm_cfg=dict(type='BN')),
    'a hook that draws nothing': draw_nothing,
    'align_corners': lambda: resize(torch.zeros(1, 1, 4, 4), (9, 9), None, 'bilinear', True),
}


@pytest.mark.parametrize('name', PROVOKED)
def test_the_host_warns_and_the_filter_knows_it(name):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        PROVOKED[name]()
    assert shown, 'the host no longer warns: take the text out of known_warnings.py'
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        ignore_python_warnings()
        PROVOKED[name]()
        warnings.warn('the loss is NaN', stacklevel=1)
    assert [str(w.message) for w in shown] == ['the loss is NaN']
