"""Reads a config and fits it to the command line and this machine, for the training tools."""

import os
import os.path as osp
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import find_latest_checkpoint

from .config_parts import (
    data_sets,
    data_wrappers,
    merge_options,
    metrics,
    parts,
    run_config,
    type_name,
    walk,
)
from .sources import choose_sources
from .tooling import file_stem

CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def load_config(
    path: str, options: dict | Sequence[str] | None, work_dir: str | None, launcher: str
) -> Config:
    """Read a config, apply the options of the command line and fit it to this machine.

    Args:
        path: Path of the config.
        options: ``--cfg-options``: a dict, or strings ``key=value``.
        work_dir: ``--work-dir``; None takes the config's, or ``work_dirs/`` plus its name.
        launcher: ``--launcher``.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: The file is not a config, is a base that others build on, or names a source that
            UDS does not have.
        PermissionError: The work dir cannot be written.
    """
    cfg = read_with_options(path, options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join('work_dirs', file_stem(path))
    check_writable(cfg.work_dir)
    if not torch.cuda.is_available():
        fit_to_cpu(cfg)
        if launcher == 'pytorch':
            join_cpu_processes(cfg)
    return cfg


def read_with_options(path: str, options: dict | Sequence[str] | None) -> Config:
    """Read a config, and apply ``--cfg-options`` and its choice of sources.

    Raises:
        FileNotFoundError, ValueError: See :func:`load_config`.
    """
    cfg = read_config(path)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    merge_options(cfg, options)
    choose_sources(cfg)
    return cfg


def read_config(config: str | Config) -> Config:
    """Read a config that a model can be built from. A config that was read before is only checked.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: The file is not a config, or is a base that others build on.
    """
    if isinstance(config, str):
        path = config
        if not osp.isfile(path):
            raise FileNotFoundError(f'config {path} does not exist')
        if not path.endswith(CONFIG_SUFFIXES):
            raise ValueError(
                f'config {path} is not a config: its name must end in .py, .json or .yaml'
            )
        if '_base_' in osp.abspath(path).split(osp.sep):
            raise ValueError(f'config {path} is a base: name a config that builds on it')
        config = run_config(path)
    model = config.get('model')
    if not isinstance(model, dict) or not model.get('type'):
        name = config.filename or 'that was given'
        raise ValueError(f'config {name} has no model: it may be a base that others build on')
    return config


def is_panoptic(config: str | Config) -> bool:
    """Return whether a config has a panoptic model of ``sfnet_mm.panoptic``, which needs mmdet."""
    return 'panoptic_head' in read_config(config).model


def check_writable(work_dir: str) -> None:
    """Raise a PermissionError unless files can be made in ``work_dir``, which is created."""
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as e:
        raise PermissionError(
            f'work dir {work_dir} cannot be written ({e.strerror}): '
            'choose another one with --work-dir'
        ) from None


def fit_to_cpu(cfg: Config) -> None:
    """Replace SyncBN, which needs CUDA, by ``CPUSyncBN`` in several processes and by BN in one."""
    norm = 'BN' if cfg.get('launcher', 'none') == 'none' else 'CPUSyncBN'
    kinds = ('SyncBN', 'MMSyncBN', 'SyncBatchNorm')
    layers = [node for node in walk(cfg.get('model')) if type_name(node) in kinds]
    for layer in layers:
        layer['type'] = norm
    if layers:
        print_log(f'no CUDA device: SyncBN is replaced by {norm}', logger='current')


def join_cpu_processes(cfg: Config) -> None:
    """Start the process group of a ``torchrun`` on CPUs, and keep the model on the CPU in DDP.

    mmengine would select a CUDA device for both, whatever the backend is.
    """
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    wrapper['find_unused_parameters'] = cfg.get('find_unused_parameters', False)
    cfg.setdefault('model_wrapper_cfg', wrapper)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 with dynamic loss scaling, bfloat16 on a CPU.

    Raises:
        ValueError: The config uses an optimizer wrapper of its own.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    name = type_name(wrapper) or 'OptimWrapper'
    if not wrapper or name not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        there = f'the config has {name}' if wrapper else 'the config has no optim_wrapper'
        raise ValueError(f'--amp replaces OptimWrapper, but {there}')
    if torch.cuda.is_available():
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        for option in ('loss_scale', 'dtype', 'use_fsdp'):  # These are of AmpOptimWrapper only.
            wrapper.pop(option, None)
        wrapper.update(type='CPUAmpOptimWrapper')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the ratio of the batch size to that of the config.

    Raises:
        ValueError: The config does not say which batch size it was made for.
    """
    scale = cfg.get('auto_scale_lr')
    if not scale or not scale.get('base_batch_size'):
        raise ValueError(
            '--auto-scale-lr needs the batch size that the learning rate is for: '
            'set auto_scale_lr=dict(base_batch_size=16), or another number, in the config'
        )
    scale['enable'] = True


def enable_resume(cfg: Config, checkpoint: str) -> None:
    """Resume a run from a checkpoint; ``'auto'`` takes the latest one of the work dir, if any.

    mmengine would resume from the ``load_from`` of a config, which is another run: it goes on with
    the iterations of that run, and removes its best checkpoint.
    """
    if checkpoint != 'auto':
        cfg.load_from = checkpoint
    elif find_latest_checkpoint(cfg.work_dir):
        cfg.load_from = None
    cfg.resume = checkpoint != 'auto' or not cfg.get('load_from')


def enable_tta(cfg: Config) -> None:
    """Wrap the model of ``cfg`` in its ``tta_model`` and test with its ``tta_pipeline``.

    Raises:
        ValueError: The config defines no test-time augmentation, or a wrapper of its test data set
            has a pipeline too.
    """
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise ValueError('--tta needs tta_model and tta_pipeline in the config')
    inner = data_sets(cfg.get('test_dataloader'))
    for dataset in data_wrappers(cfg.get('test_dataloader')):
        if dataset not in inner and dataset.get('pipeline'):
            raise ValueError(
                f'--tta replaces the pipeline of the test data, but {type_name(dataset)} in '
                'test_dataloader has one of its own: test the data set that it wraps'
            )
    for dataset in inner:
        dataset['pipeline'] = cfg.tta_pipeline
    if type_name(cfg.tta_model) == 'SegTTAModel' and has_one_logit(cfg.model):
        cfg.tta_model.type = 'mmseg.OneLogitTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def has_one_logit(model: dict) -> bool:
    """Return whether the last decode head of a model's config has one logit for two classes."""
    head = (parts(model.get('decode_head')) or [{}])[-1]
    return (head.get('out_channels') or head.get('num_classes')) == 1


def enable_drawing(cfg: Config, show_dir: str | None, show: bool, wait_time: float) -> None:
    """Draw predictions while testing, into ``show_dir`` or a window.

    ``PredictionHook`` takes the place of mmseg's ``SegVisualizationHook``; another visualization
    hook, such as mmdet's, is switched on. A window stays for ``wait_time`` seconds.

    Raises:
        ValueError: The config has such another hook, but no visualizer that it can use.
    """
    default_hooks = cfg.get('default_hooks') or {}
    hook = default_hooks.get('visualization')
    if not hook or type_name(hook) == 'SegVisualizationHook':
        default_hooks.pop('visualization', None)
        add_hook(cfg, picture_dir=show_dir, show=show, wait_time=wait_time)
    else:
        if not cfg.get('visualizer'):
            raise ValueError(f'--show and --show-dir: {type_name(hook)} needs a visualizer')
        hook.update(draw=True, interval=1)
        if show:
            hook.update(show=True, wait_time=wait_time)
        if show_dir:
            cfg.visualizer.save_dir = show_dir
    for hook in parts(cfg.get('custom_hooks')):
        if show_dir and type_name(hook) == 'FlowVisualizationHook':
            hook.update(draw=True, out_dir=osp.join(show_dir, 'flow'))


def keep_predictions(cfg: Config, folder: str) -> None:
    """Write the predictions of a test into ``folder``, as masks or in the format of COCO."""
    found = metrics(cfg.get('test_evaluator'))
    coco = [m for m in found if 'Coco' in type_name(m) or 'Panoptic' in type_name(m)]
    for metric in coco:
        metric['outfile_prefix'] = osp.join(folder, 'results')
    if not coco:
        add_hook(cfg, mask_dir=folder)


def add_hook(cfg: Config, **options: Any) -> None:
    """Add a ``PredictionHook`` with these options to a config."""
    hook = dict(type='mmseg.PredictionHook', **options)
    cfg.custom_hooks = [*parts(cfg.get('custom_hooks')), hook]
