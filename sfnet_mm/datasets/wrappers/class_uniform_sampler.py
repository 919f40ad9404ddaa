"""The sampler of :class:`ClassUniformDataset`."""

from typing import Any, Iterator, Sized, Tuple

from mmengine.dataset import DefaultSampler
from mmseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClassUniformSampler(DefaultSampler):
    """mmengine's ``DefaultSampler`` whose indices say which epoch they belong to.

    The epoch travels with the index because worker processes read ahead and outlive epochs. So a
    :class:`ClassUniformDataset` needs no state: the same draw comes back on every rank, in every
    worker and after ``--resume``.

    Args:
        dataset: A ``ClassUniformDataset``.
        infinite: Go on to the next epoch by itself; True for ``IterBasedTrainLoop``, False for
            ``EpochBasedTrainLoop``.
        **kwargs: Arguments of ``mmengine.DefaultSampler`` (``shuffle``, ``seed``, ``round_up``).
    """

    def __init__(self, dataset: Sized, infinite: bool = False, **kwargs: Any) -> None:
        super().__init__(dataset, **kwargs)
        self.infinite = infinite

    def __iter__(self) -> Iterator[Tuple[int, int]]:
        """Pairs (epoch, index)."""
        while True:
            for index in super().__iter__():
                yield self.epoch, index
            if not self.infinite:
                return
            self.set_epoch(self.epoch + 1)
