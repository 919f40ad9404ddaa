"""What all runs of a comparison share, and the config of one of them."""

import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, Optional, Tuple

from mmengine.config import Config

from sfnet_mm.utils import load_config


@dataclass
class Budget:
    """What makes two results comparable.

    Args:
        iters: Iterations of every run.
        batch_size: Images of an iteration.
        crop: (height, width); that of each config by default.
        lr: Initial learning rate of SGD.
        warmup: Iterations of warm-up; a twentieth by default.
        min_kept: Least share of pixels that hard-pixel losses keep.
        options: As ``--cfg-options``.
    """

    iters: int = 400
    batch_size: int = 8
    crop: Optional[Tuple[int, int]] = None
    lr: float = 0.01
    warmup: Optional[int] = None
    min_kept: float = 0.048
    options: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Resources:
    """What a run finds on this machine.

    Args:
        data_root: The data set's folder, in place of the configs'.
        workers: Loading processes.
        threads: Of torch.
    """

    data_root: Optional[str] = None
    workers: int = 1
    threads: int = 1


def name_of(config: str) -> str:
    """Of a run, in tables and folders."""
    return osp.splitext(osp.basename(config))[0]


def walk(node: Any) -> Iterator[dict]:
    """All dicts of a nested config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for value in node.values() if isinstance(node, dict) else node:
            yield from walk(value)


def prepare(config: str, budget: Budget, resources: Resources, seed: int, work_dir: str) -> Config:
    """The config of one run: network and losses are its own, the rest is the same for all."""
    cfg = load_config(config, budget.options, work_dir, 'none')
    crop = tuple(budget.crop or cfg.crop_size)
    warmup = max(2, budget.iters // 20) if budget.warmup is None else budget.warmup
    for node in walk([cfg.train_dataloader, cfg.model]):
        kind = node.get('type')
        if kind in ('RandomCrop', 'CropAroundCentroid'):
            node.crop_size = crop
        elif kind in ('HardPixelCrossEntropy', 'OhemCrossEntropy'):
            node.min_kept = int(budget.min_kept * budget.batch_size * crop[0] * crop[1])
    cfg.model.data_preprocessor.size = crop
    if resources.data_root:
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.data_root = resources.data_root
    cfg.train_dataloader.update(
        batch_size=budget.batch_size,
        num_workers=resources.workers,
        persistent_workers=resources.workers > 0,
    )
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.val_dataloader.update(num_workers=resources.workers, persistent_workers=False)
    by_source = isinstance(cfg.val_evaluator, dict) and cfg.val_evaluator.type == 'UDSMetric'
    cfg.val_evaluator = dict(
        type='PerClassUDS' if by_source else 'PerClassIoU', iou_metrics=['mIoU']
    )
    optimizer = dict(type='SGD', lr=budget.lr, momentum=0.9, weight_decay=0.0005)
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
    cfg.param_scheduler = [
        dict(type='PolyLR', eta_min=0, power=0.9, begin=warmup, end=budget.iters, by_epoch=False)
    ]
    if warmup:
        cfg.param_scheduler.insert(
            0, dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup, by_epoch=False)
        )
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=budget.iters, val_interval=budget.iters + 1
    )
    # The last weights are scored, not the best ones: val decides nothing.
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=budget.iters, max_keep_ckpts=1
    )
    cfg.default_hooks.logger.interval = max(1, budget.iters // 40)
    cfg.custom_hooks = []
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.randomness = dict(seed=seed)
    return cfg
