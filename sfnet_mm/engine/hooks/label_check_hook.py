"""Checks the labels that metrics compare predictions with."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.structures import SegDataSample


class LabelCheckHook(Hook):
    """Refuses labels in validation and test that are not classes; mmseg's metrics leave them out.

    It also warns if all labels are of one class or ignored, as those of masks with 0 and 255.
    ``DataFirstRunner`` registers it.

    Raises:
        ValueError: A label is not a class and not the ``ignore_index`` of a metric.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train':
            self.seen = set()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
        mode: str = 'train',
    ) -> None:
        samples = () if mode == 'train' else outputs or ()
        labeled = [s for s in samples if isinstance(s, SegDataSample) and 'gt_sem_seg' in s]
        if not labeled:
            return
        loop = getattr(runner, f'{mode}_loop')
        classes = _classes(loop)
        ignored = {getattr(m, 'ignore_index', 255) for m in loop.evaluator.metrics} | {255}
        for sample in labeled:
            # torch.unique sorts, which takes 18 times as long.
            counts = torch.bincount(sample.gt_sem_seg.data.flatten().long() & 0xFFFF)
            found = set(counts.nonzero().flatten().tolist())
            outside = sorted(i for i in found - ignored if i >= len(classes))
            if classes and outside:
                raise ValueError(
                    f'the label of {sample.get("img_path")} holds {outside[0]}, but there are '
                    f'{len(classes)} classes, 0..{len(classes) - 1}, and 255 is ignored: do the '
                    'masks hold other ids than those of the classes?'
                )
            self.seen |= found

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if 255 not in self.seen or mode == 'train':
            return
        classes = _classes(getattr(runner, f'{mode}_loop'))
        found = sorted(i for i in self.seen if i < len(classes))
        if len(classes) > 1 and len(found) <= 1:
            only = f'{found[0]} ({classes[found[0]]})' if found else 'none'
            runner.logger.warning(
                f'all labels are 255, which is ignored, or one class: {only}. Masks of two classes '
                'must hold 0 and 1, not 0 and 255'
            )


def _classes(loop: Any) -> Sequence[str]:
    return getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes') or ()
