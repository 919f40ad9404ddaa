"""Defines the settings that all runs of a comparison share, and makes the config of one run."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from mmengine.config import Config

from sfnet_mm.utils.config import enable_amp, load_config
from sfnet_mm.utils.config_parts import data_sets, metrics, type_name, walk

OPTIMIZERS = {
    'sgd': dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
    'adamw': dict(type='AdamW', lr=0.001, weight_decay=0.01),
}


@dataclass
class Budget:
    """The settings that two results must share to be comparable.

    Args:
        iters: Iterations of every run.
        batch_size: Images of an iteration.
        crop: (height, width); by default the crop of each config.
        optimizer: ``'sgd'`` or ``'adamw'`` with a warm-up and a polynomial decay, or ``'config'``:
            each config's own optimizer and its schedule, which is scaled to ``iters``.
        lr: Initial learning rate; by default 0.01 for SGD, 0.001 for AdamW, or the config's.
        backbone_lr_mult: Factor of the learning rate of the backbone.
        warmup: Iterations of warm-up; by default a twentieth of all. Not used with ``'config'``.
        min_kept: Smallest share of the pixels that hard-pixel losses keep.
        amp: Train in mixed precision: float16 with loss scaling, bfloat16 on a CPU.
        options: Settings that override those of every config, as ``--cfg-options`` does.
    """

    iters: int = 400
    batch_size: int = 8
    crop: tuple[int, int] | None = None
    optimizer: str = 'sgd'
    lr: float | None = None
    backbone_lr_mult: float = 1.0
    warmup: int | None = None
    min_kept: float = 0.048
    amp: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Describe the budget in words, for the text above a table."""
        name = {'sgd': 'SGD', 'adamw': 'AdamW'}.get(self.optimizer, "each config's own optimizer")
        rate = self.lr or OPTIMIZERS.get(self.optimizer, {}).get('lr')
        text = f'{self.iters} iterations of batch {self.batch_size}, {name}'
        if rate:
            text += f' with lr {rate:g}'
        if self.backbone_lr_mult != 1:
            text += f', the backbone with {self.backbone_lr_mult:g} times that'
        return text + (', mixed precision' if self.amp else '')

    def as_json(self) -> dict[str, Any]:
        """Return the settings as a JSON file gives them back, with lists in place of tuples."""
        return json.loads(json.dumps(asdict(self)))


@dataclass
class Resources:
    """Settings of this machine; none of them changes what is computed.

    Args:
        data_root: Folder of the data set; None keeps the one in the configs.
        workers: Number of processes that load data.
        threads: Number of threads of torch.
        channels_last: Store the model channels-last.
        checkpoint_interval: Iterations between checkpoints; by default a tenth of all.
    """

    data_root: str | None = None
    workers: int = 1
    threads: int = 1
    channels_last: bool = False
    checkpoint_interval: int | None = None


def prepare(config: str, budget: Budget, resources: Resources, seed: int, work_dir: str) -> Config:
    """Make the config of one run.

    Network, losses and class-uniform sampling are kept; the rest is the same for all.
    """
    cfg = load_config(config, budget.options, work_dir, 'none')
    crop = tuple(budget.crop or cfg.crop_size)
    for node in walk([cfg.train_dataloader, cfg.model]):
        kind = type_name(node)
        if kind in ('RandomCrop', 'CropAroundCentroid'):
            node.crop_size = crop
        elif kind in ('HardPixelCrossEntropy', 'OhemCrossEntropy'):
            node.min_kept = int(budget.min_kept * budget.batch_size * crop[0] * crop[1])
    cfg.model.data_preprocessor.size = crop
    loading = dict(num_workers=resources.workers, pin_memory=torch.cuda.is_available())
    if resources.workers:
        loading['prefetch_factor'] = 4
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(loading)
        if resources.data_root:
            for dataset in data_sets(loader):
                dataset['data_root'] = resources.data_root
    cfg.train_dataloader.update(
        batch_size=budget.batch_size, persistent_workers=resources.workers > 0
    )
    if type_name(cfg.train_dataloader.sampler) == 'ClassUniformSampler':
        cfg.train_dataloader.sampler.infinite = True
    else:
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.val_dataloader.persistent_workers = False
    by_source = 'UDSMetric' in map(type_name, metrics(cfg.val_evaluator))
    cfg.val_evaluator = dict(
        type='UDSMetric' if by_source else 'BoundaryIoUMetric', iou_metrics=['mIoU', 'bIoU']
    )
    set_schedule(cfg, budget)
    if budget.amp:
        enable_amp(cfg)
    # The last weights are scored and not the best ones, which val would select. Two checkpoints are
    # kept, so that one is complete while the other is written.
    interval = resources.checkpoint_interval or max(1, budget.iters // 10)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=interval, max_keep_ckpts=2
    )
    cfg.default_hooks.logger.interval = max(1, budget.iters // 40)
    cfg.custom_hooks = []
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.randomness = dict(seed=seed)
    return cfg


def set_schedule(cfg: Config, budget: Budget) -> None:
    """Give a config the optimizer, the learning rates and the length of a budget.

    Raises:
        ValueError: The config's own schedule counts epochs and cannot be scaled to iterations.
    """
    warmup = max(2, budget.iters // 20) if budget.warmup is None else budget.warmup
    if budget.optimizer == 'config':
        own, schedule = cfg.train_cfg.get('max_iters'), cfg.param_scheduler
        schedule = [schedule] if isinstance(schedule, dict) else schedule
        if own is None or any(s.get('by_epoch', True) for s in schedule):
            raise ValueError(
                f'{cfg.filename} has a schedule in epochs: choose --optimizer sgd or adamw'
            )
        for part in schedule:
            for key in ('begin', 'end'):
                if key in part:
                    part[key] = round(part[key] * budget.iters / own)
        # A short warm-up can shrink to nothing.
        cfg.param_scheduler = [s for s in schedule if s.get('end', 1) > s.get('begin', 0)]
    else:
        optimizer = dict(OPTIMIZERS[budget.optimizer])
        cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
        decay = dict(begin=warmup, end=budget.iters, by_epoch=False)
        cfg.param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, **decay)]
        if warmup:
            cfg.param_scheduler.insert(
                0, dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup, by_epoch=False)
            )
    if budget.lr:
        cfg.optim_wrapper.optimizer.lr = budget.lr
    if budget.backbone_lr_mult != 1:
        groups = cfg.optim_wrapper.get('paramwise_cfg', {})
        keys = dict(groups.get('custom_keys', {}), backbone=dict(lr_mult=budget.backbone_lr_mult))
        cfg.optim_wrapper.paramwise_cfg = dict(groups, custom_keys=keys)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=budget.iters, val_interval=budget.iters + 1
    )
