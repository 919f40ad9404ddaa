from types import SimpleNamespace

import pytest
import torch

from sfnet_mm.engine import IterSeedHook
from sfnet_mm.engine.hooks import iter_seed_hook


def drawn(monkeypatch, seed, iteration, rank=0):
    """What torch draws after the hook has run."""
    monkeypatch.setattr(iter_seed_hook, 'get_rank', lambda: rank)
    IterSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), 0)
    return tuple(torch.rand(4).tolist())


# mmengine draws seeds below 2**31 by itself, and numpy takes those below 2**32.
SEEDS = [0, 1, 281_469_838, 1_234_567_890, 2**31 - 1, 2**32 - 1]


@pytest.mark.parametrize('seed', [None, *SEEDS])
def test_every_seed_of_numpy_is_taken(monkeypatch, seed):
    late = 10**7
    assert drawn(monkeypatch, seed, late, 4095) == drawn(monkeypatch, seed, late, 4095)


def test_seeds_iterations_and_ranks_all_draw_different_numbers(monkeypatch):
    places = [(s, i, r) for s in SEEDS for i in range(20) for r in range(8)]
    assert len({drawn(monkeypatch, *place) for place in places}) == len(places)
