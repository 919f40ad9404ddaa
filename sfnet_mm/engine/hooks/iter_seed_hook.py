"""Makes a resumed training draw the same random numbers as an uninterrupted one."""

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seeds torch before every training iteration from the run's seed, the iteration and the rank.

    mmengine restores weights, optimizer and data order on resuming, but not the generator that
    dropout draws from. Seeding it in each iteration needs no saved state and works on any
    rank and device. Data workers have their own generators, which mmengine advances with the data.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed the generators of this process."""
        # A hash keeps the streams apart and fits any seed into the 64 bits of torch.
        sequence = np.random.SeedSequence(runner.seed or 0, spawn_key=(runner.iter, get_rank()))
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
