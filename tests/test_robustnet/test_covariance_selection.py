import builtins
import itertools

import numpy as np
import pytest
import torch

from sfnet_mm.robustnet import PairVariance, select_sensitive


def test_pair_variance_is_numpys():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(5, 2, 4, 4))
    statistics = PairVariance()
    for pair in pairs:
        statistics.update(dict(stem=torch.tensor(pair)))
    expected = np.triu(pairs.var(axis=1, ddof=1).mean(axis=0), 1)
    np.testing.assert_allclose(statistics.mean()['stem'].numpy(), expected, rtol=1e-12)


def _lowest_cluster_by_exhaustion(values, k):
    """Size of the lowest cluster of the best partition of sorted values into k runs."""
    values, best = np.sort(values), None
    for cuts in itertools.combinations(range(1, len(values)), k - 1):
        runs = np.split(values, cuts)
        cost = sum(((run - run.mean()) ** 2).sum() for run in runs)
        if best is None or cost < best[0]:
            best = cost, cuts[0]
    return best[1]


@pytest.mark.parametrize('k', [2, 3, 4])
def test_selection_is_the_optimal_clustering(k):
    pytest.importorskip('kmeans1d', reason='kmeans1d is not installed')
    rng = np.random.default_rng(k)
    variance = np.triu(rng.gamma(0.5, size=(5, 5)), 1)
    mask, count = select_sensitive(torch.tensor(variance), k)
    lowest = _lowest_cluster_by_exhaustion(variance.ravel(), k)
    assert count == variance.size - lowest == int(mask.sum())
    chosen = np.sort(variance.ravel())[lowest:]
    np.testing.assert_array_equal(np.sort(variance[mask.numpy() > 0]), chosen)


def test_all_equal_variances_select_nothing():
    mask, count = select_sensitive(torch.zeros(4, 4))
    assert count == 0
    assert not mask.any()


def test_fewer_values_than_clusters():
    pytest.importorskip('kmeans1d', reason='kmeans1d is not installed')
    variance = torch.zeros(3, 3)
    variance[0, 2] = 1
    mask, count = select_sensitive(variance, k=20)
    assert count == 1
    assert mask[0, 2] == 1


def test_errors():
    with pytest.raises(ValueError, match='k=1'):
        select_sensitive(torch.zeros(3, 3), k=1)
    with pytest.raises(ValueError, match='not finite'):
        select_sensitive(torch.tensor([[0, float('nan')], [0, 0]]))


def test_missing_kmeans1d_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == 'kmeans1d':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match='pip install kmeans1d'):
        select_sensitive(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
