import numpy as np
import pytest
import torch
from helpers import has_hooks
from torch import nn

from sfnet_mm.robustnet import collect_covariances, instance_covariance, whitening_loss
from sfnet_mm.robustnet.whitening_loss import strict_upper_triangle


def test_covariance_is_that_of_numpy():
    x = torch.randn(3, 5, 7, 11, dtype=torch.float64)
    x = x - x.mean(dim=(2, 3), keepdim=True)
    expected = np.stack([np.cov(image.reshape(5, -1)) + 1e-5 * np.eye(5) for image in x.numpy()])
    np.testing.assert_allclose(instance_covariance(x).numpy(), expected, rtol=1e-12, atol=1e-14)


def test_covariance_stays_in_float32_under_autocast():
    x = torch.randn(2, 4, 32, 32)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        covariance = instance_covariance(x)
    assert covariance.dtype == torch.float32
    torch.testing.assert_close(covariance, instance_covariance(x))
    assert instance_covariance(x.bfloat16()).dtype == torch.float32


def test_covariance_of_a_single_pixel():
    with pytest.raises(ValueError, match=r'\(2, 3, 1, 1\)'):
        instance_covariance(torch.zeros(2, 3, 1, 1))


@pytest.mark.parametrize(('name', 'margin'), [('IW', 0), ('IRW', 3), ('ISW', 0)])
def test_loss_is_the_published_sum(name, margin):
    rng = np.random.default_rng(0)
    covariance = rng.normal(size=(4, 6, 6))
    mask = np.triu(np.ones((6, 6)), 1)
    if name == 'ISW':
        mask *= rng.random((6, 6)) < 0.4
    values = []
    for image in covariance:
        total = sum(abs(image[i, j]) for i in range(6) for j in range(6) if mask[i, j])
        values.append(max(0.0, (total - margin) / mask.sum()))
    loss = whitening_loss(torch.tensor(covariance), torch.tensor(mask), margin)
    assert loss.item() == pytest.approx(np.mean(values), rel=1e-12)


def test_margin_forgives_small_covariances_image_by_image():
    mask = strict_upper_triangle(3)
    small, large = 0.1 * torch.ones(3, 3), torch.ones(3, 3)
    assert whitening_loss(small[None], mask, margin=1) == 0
    both = whitening_loss(torch.stack([small, large]), mask, margin=1)
    assert both.item() == pytest.approx((0 + (3 - 1) / 3) / 2)


def test_an_empty_mask_costs_nothing_and_has_finite_gradients():
    covariance = torch.randn(2, 3, 3, requires_grad=True)
    loss = whitening_loss(covariance, torch.zeros(3, 3))
    loss.backward()
    assert loss == 0
    assert torch.equal(covariance.grad, torch.zeros_like(covariance))


def test_collecting_leaves_no_hook_behind():
    layer = nn.InstanceNorm2d(2)
    x = torch.randn(1, 2, 4, 4)
    with pytest.raises(RuntimeError), collect_covariances(dict(a=layer)) as found:
        layer(x)
        raise RuntimeError
    torch.testing.assert_close(found['a'], instance_covariance(layer(x)))
    assert not has_hooks(layer)
