"""Checks the labels that metrics compare predictions with."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.structures import SegDataSample


class LabelCheckHook(Hook):
    """Refuses labels in validation and test that are no classes, which mmseg's metrics leave out.

    It also warns if all labels are of one class or ignored, as those of masks with 0 and 255.
    ``DataFirstRunner`` registers it.

    Raises:
        ValueError: A label is not a class and not the ``ignore_index`` of a metric.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget the labels of the last validation."""
        self.seen = set()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Check the labels of a batch."""
        self._check(runner, 'val_loop', outputs)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Check the labels of a batch."""
        self._check(runner, 'test_loop', outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Warn if there is only one class."""
        self._warn(runner, runner.val_loop)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Warn if there is only one class."""
        self._warn(runner, runner.test_loop)

    def _check(self, runner: Runner, name: str, outputs: Sequence[SegDataSample] | None) -> None:
        for sample in outputs or ():
            if not isinstance(sample, SegDataSample) or 'gt_sem_seg' not in sample:
                continue
            loop = getattr(runner, name)
            classes = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes') or ()
            ignored = {getattr(m, 'ignore_index', 255) for m in loop.evaluator.metrics} | {255}
            # torch.unique sorts, which takes 18 times as long.
            counts = torch.bincount(sample.gt_sem_seg.data.flatten().long() & 0xFFFF)
            found = set(counts.nonzero().flatten().tolist())
            outside = sorted(i for i in found - ignored if not 0 <= i < len(classes))
            if classes and outside:
                raise ValueError(
                    f'the label of {sample.get("img_path")} holds {outside[0]}, but there are '
                    f'{len(classes)} classes, 0..{len(classes) - 1}, and 255 is ignored: do the '
                    'masks hold other ids than those of the classes?'
                )
            self.seen |= found

    def _warn(self, runner: Runner, loop: Any) -> None:
        classes = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes') or ()
        found = sorted(i for i in self.seen if i < len(classes))
        if len(classes) > 1 and len(found) <= 1 and 255 in self.seen:
            only = f'{found[0]} ({classes[found[0]]})' if found else 'none'
            runner.logger.warning(
                f'all labels are 255, which is ignored, or one class: {only}. Masks of two classes '
                'must hold 0 and 1, not 0 and 255'
            )
