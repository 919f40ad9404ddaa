"""The sampler of :class:`ClassUniformDataset`."""

from collections.abc import Iterator, Sized
from typing import Any

from mmengine.dataset import DefaultSampler
from mmseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClassUniformSampler(DefaultSampler):
    """mmengine's ``DefaultSampler`` whose indices say which epoch they belong to.

    The epoch is part of the index because worker processes read ahead and live longer than an
    epoch. So :class:`ClassUniformDataset` needs no state: every rank and every worker makes the
    same draw, after ``--resume`` too.

    Args:
        dataset: A ``ClassUniformDataset``.
        infinite: Continue with the next epoch; True for ``IterBasedTrainLoop``, False for
            ``EpochBasedTrainLoop``.
        **kwargs: Arguments of ``mmengine.DefaultSampler`` (``shuffle``, ``seed``, ``round_up``).
    """

    def __init__(self, dataset: Sized, infinite: bool = False, **kwargs: Any) -> None:
        super().__init__(dataset, **kwargs)
        self.infinite = infinite

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield pairs (epoch, index)."""
        while True:
            for index in super().__iter__():
                yield self.epoch, index
            if not self.infinite:
                return
            self.set_epoch(self.epoch + 1)
