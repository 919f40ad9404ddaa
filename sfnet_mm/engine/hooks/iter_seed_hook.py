"""Makes a resumed training draw the random numbers of an uninterrupted one."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed torch before every training iteration from the run's seed, the iteration and the rank.

    mmengine restores weights, optimizer and data order on resuming, but not the generator that
    dropout draws from. Seeding it by the iteration needs nothing to be saved, on any rank or
    device. Data workers have generators of their own, which mmengine advances with the data.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed the generators of this process."""
        # Seeds of neighbouring iterations must differ in every rank of any world size.
        torch.manual_seed(((runner.seed or 0) * 1_000_003 + runner.iter) * 65_537 + get_rank())
