"""The context module against the same formulas in plain functions."""

import pytest
import torch
import torch.nn.functional as F
from helpers import randomize_norms
from torch import nn

from sfnet_mm.models import PyramidContext


def conv_bn(x, conv, bn):
    x = F.conv2d(x, conv.weight)
    return F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias)


def pooled(module, x, scales):
    """Pool, project without ReLU, upsample: written with the layers' tensors only."""
    priors = []
    for stage, scale in zip(module.stages, scales):
        y = conv_bn(F.adaptive_avg_pool2d(x, scale), stage[1].conv, stage[1].bn)
        priors.append(F.interpolate(y, x.shape[2:], mode='bilinear', align_corners=True))
    return priors


@pytest.mark.parametrize('mode', ['ppm', 'sppm', 'none'])
@pytest.mark.parametrize('size', [(7, 11), (1, 1), (3, 2)])
def test_eval_equals_the_formula(mode, size):
    module = randomize_norms(PyramidContext(12, 8, mode)).eval()
    x = torch.randn(2, 12, *size)
    y = x
    if mode == 'ppm':
        y = torch.cat(pooled(module, x, (1, 2, 3, 6)) + [x], 1)
    elif mode == 'sppm':
        y = conv_bn(x, module.project.conv, module.project.bn)
        y = y + sum(pooled(module, x, (1, 2, 4)))
    y = conv_bn(y, module.bottleneck.conv, module.bottleneck.bn).relu()
    torch.testing.assert_close(module(x), y, rtol=1e-4, atol=1e-5)


def test_projections_have_no_relu():
    """mmseg's own PPM has one; with it the authors' weights give other maps."""
    module = randomize_norms(PyramidContext(12, 8)).eval()
    assert all(prior.min() < 0 for prior in module.stages(torch.randn(2, 12, 7, 7)))


@pytest.mark.parametrize('mode', ['ppm', 'sppm'])
def test_one_image_trains(mode):
    """Pooled to 1x1 a single image has no variance: that BN uses and keeps its estimates."""
    module = randomize_norms(PyramidContext(12, 8, mode)).train()
    norms = [stage[1].bn for stage in module.stages]
    before = [n.running_mean.clone() for n in norms]
    module(torch.randn(1, 12, 5, 5)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert module.stages[0][1].conv.weight.grad.abs().max() > 0
    assert all(n.training for n in norms)
    changed = [not torch.equal(n.running_mean, b) for n, b in zip(norms, before)]
    assert changed == [False] + [True] * (len(norms) - 1)
    # Two images have a variance: all of them learn.
    module(torch.randn(2, 12, 5, 5))
    assert not torch.equal(norms[0].running_mean, before[0])


def test_dropout_drops_whole_channels_while_training():
    module = PyramidContext(12, 64, dropout_ratio=0.5).train()
    out = module(torch.randn(2, 12, 5, 5) + 3)
    dead = (out == 0).flatten(2).all(2).float().mean()
    assert 0.2 < dead < 0.8
    assert not isinstance(PyramidContext(12, 8, 'none').dropout, nn.Dropout2d)


def test_scales_can_be_chosen():
    module = PyramidContext(12, 8, pool_scales=(4, 1)).eval()
    assert len(module.stages) == 2 and module.bottleneck.conv.in_channels == 12 + 2 * 8
    assert module(torch.randn(1, 12, 5, 5)).shape == (1, 8, 5, 5)


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match="mode='aspp' is not one of ppm, sppm, none"):
        PyramidContext(12, 8, 'aspp')
