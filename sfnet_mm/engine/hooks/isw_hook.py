"""Selects the covariances of ISW during RobustNet's training.

RobustNet, https://arxiv.org/abs/2103.15597, section 4.3 (authors' ``cov_stat_epoch``).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from sfnet_mm.robustnet.covariance_selection import PairVariance, load_kmeans, select_sensitive
from sfnet_mm.robustnet.isw_encoder_decoder import ISWEncoderDecoder
from sfnet_mm.robustnet.photometric_pairs import DISTORTION, LOADING, PhotometricPairs
from sfnet_mm.robustnet.whitening_loss import collect_covariances
from sfnet_mm.utils.arguments import check_least


@HOOKS.register_module()
class ISWHook(Hook):
    """Collects statistics over photometric pairs and sets the masks, before ``begin_iter``.

    A trial runs the network in eval mode on ``num_images`` training images, each in a batch with
    its distorted copy, and clusters the variances of their covariances. A pair of channels is
    penalized if every trial selects it. The main process does this and shows a progress
    bar; it sends the masks of each trial to the other ranks. The masks are saved with the weights,
    so a run that is resumed later does not select them again.

    The draws depend only on the seed and the weights and leave the random state of training as it
    was, so resuming before, at or after ``begin_iter`` changes nothing.

    Args:
        begin_iter: Iteration, counted from 0, before which the masks are made. RobustNet trains six
            epochs first: 2231 iterations of batch 8 on Cityscapes.
        num_images: Largest number of images of a trial.
        trials: Number of trials.
        k: Number of clusters; see :func:`select_sensitive`.
        distortion: Transforms that make the second image of a pair out of the first.
        loading: Transforms that load the first image from a path; by default the whole image.
        num_workers: Processes that load pairs; None takes those of the training loader.
        seed: Seed of the draws; None takes the runner's.

    Raises:
        ValueError: A number is below 1 (``k``: 2; ``begin_iter``: 0). Before training: the model is
            no ``ISWEncoderDecoder`` of kind ISW, or the data set is empty.
        ImportError: Before training: ``kmeans1d`` is not installed.
    """

    def __init__(
        self,
        begin_iter: int,
        num_images: int = 500,
        trials: int = 10,
        k: int = 3,
        distortion: Sequence[dict] = DISTORTION,
        loading: Sequence[dict] = LOADING,
        num_workers: int | None = None,
        seed: int | None = None,
    ) -> None:
        check_least('ISWHook', 0, begin_iter=begin_iter)
        check_least('ISWHook', 1, num_images=num_images, trials=trials)
        check_least('ISWHook', 2, k=k)
        self.begin_iter = begin_iter
        self.num_images = num_images
        self.trials = trials
        self.k = k
        self.distortion = distortion
        self.loading = loading
        self.num_workers = num_workers
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Check everything that the selection needs before the training starts."""
        model = _unwrapped(runner)
        if not isinstance(model, ISWEncoderDecoder) or model.kind != 'ISW':
            kind = getattr(model, 'kind', None)
            raise ValueError(
                f'ISWHook: the model is {type(model).__name__} (kind={kind}); it must '
                "be ISWEncoderDecoder(kind='ISW'), or leave the hook out"
            )
        if model.whitening_selected:
            runner.logger.info('ISW: the masks come from the checkpoint')
            return
        load_kmeans()
        self._pairs(runner)
        if self.begin_iter >= runner.max_iters:
            runner.logger.warning(
                f'ISW: begin_iter={self.begin_iter} is not reached in {runner.max_iters} '
                'iterations, this run trains without the whitening loss'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any | None = None
    ) -> None:
        """Select the masks once, at ``begin_iter`` or as soon as possible after it."""
        model = _unwrapped(runner)
        if runner.iter < self.begin_iter or model.whitening_selected:
            return
        masks = self.select(runner, model)
        model.set_whitening_masks(masks)
        for slot, mask in masks.items():
            chosen, total = int(mask.sum()), mask.shape[0] * (mask.shape[0] - 1) // 2
            report = runner.logger.info if chosen else runner.logger.warning
            report(f'ISW: {slot}: {chosen} of {total} covariances are penalized')

    def _pairs(self, runner: Runner) -> PhotometricPairs:
        seed = self.seed if self.seed is not None else runner.seed or 0
        return PhotometricPairs(
            runner.train_dataloader.dataset, self.distortion, self.loading, seed=seed
        )

    def select(self, runner: Runner, model: ISWEncoderDecoder) -> dict[str, Tensor]:
        """Select the masks by slot, equal on all ranks."""
        pairs = self._pairs(runner)
        num_images = min(self.num_images, len(pairs))
        runner.logger.info(
            f'ISW: covariance statistics before iteration {runner.iter}: '
            f'{self.trials} trials of {num_images} photometric pairs'
        )
        bar = ProgressBar(self.trials * num_images) if is_main_process() else None
        masks = {slot: torch.ones_like(mask) for slot, mask in model.whitening_masks.items()}
        training = model.training
        model.eval()
        try:
            for pairs.trial in range(self.trials):
                order = pairs.order(num_images)
                if bar is not None:
                    variance = self._statistics(runner, model, pairs, order, bar)
                    for slot, mask in masks.items():
                        mask *= select_sensitive(variance[slot], self.k)[0]
                # Masks are sent after every trial: the other ranks wait here, and a wait as long
                # as all trials would exceed the timeout of the process group.
                for mask in masks.values():
                    broadcast(mask, src=0)
        finally:
            model.train(training)
        if bar is not None:
            bar.file.write('\n')
        return masks

    @torch.no_grad()
    def _statistics(
        self,
        runner: Runner,
        model: ISWEncoderDecoder,
        pairs: PhotometricPairs,
        order: list[int],
        bar: ProgressBar,
    ) -> dict[str, Tensor]:
        """Compute the variance (C, C) of each covariance over the pairs of a trial, by slot."""
        num_workers = self.num_workers
        if num_workers is None:
            num_workers = runner.train_dataloader.num_workers
        loader = DataLoader(
            pairs,
            sampler=order,
            batch_size=None,
            num_workers=num_workers,
            # A separate generator leaves the default one unchanged for the training.
            generator=torch.Generator(),
        )
        statistics = PairVariance()
        for pair in loader:
            data = dict(inputs=list(pair), data_samples=[SegDataSample(), SegDataSample()])
            inputs = model.data_preprocessor(data, False)['inputs']
            with collect_covariances(model.whitening_layers) as covariances:
                model.backbone(inputs)
            statistics.update(covariances)
            bar.update()
        return statistics.mean()


def _unwrapped(runner: Runner) -> torch.nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
