"""What ``tools/train.py`` and ``tools/test.py`` do to a config before the runner is built."""

import os
import os.path as osp
import tempfile
from typing import Any, Dict, Optional

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import print_log


def load_config(
    path: str, options: Optional[Dict], work_dir: Optional[str], launcher: str
) -> Config:
    """Read a config, apply the options of the command line and fit it to this machine.

    Args:
        path: Path of the config.
        options: ``--cfg-options``.
        work_dir: ``--work-dir``; None takes the config's, or ``work_dirs/`` and its name.
        launcher: ``--launcher``.

    Raises:
        FileNotFoundError: There is no such config.
        PermissionError: The work dir cannot be written.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'config {path} does not exist')
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    cfg.merge_from_dict(options or {})
    cfg.work_dir = (
        work_dir
        or cfg.get('work_dir')
        or osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    )
    check_writable(cfg.work_dir)
    if not torch.cuda.is_available():
        fit_to_cpu(cfg)
        if launcher == 'pytorch':
            join_cpu_processes(cfg)
    return cfg


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
    """Replace SyncBN, which needs CUDA: by ``CPUSyncBN`` among several processes, else by BN."""
    norm = 'BN' if cfg.get('launcher', 'none') == 'none' else 'CPUSyncBN'
    if _replace_norm(cfg.get('model', {}), norm):
        print_log(f'no CUDA device: SyncBN is replaced by {norm}', logger='current')


def join_cpu_processes(cfg: Config) -> None:
    """Make the process group of a ``torchrun`` on CPUs, and keep the model on the CPU in DDP.

    mmengine alone would select a CUDA device for both, whatever the backend.
    """
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    cfg.setdefault('model_wrapper_cfg', dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False)))  # yapf: disable


def _replace_norm(node: Any, norm: str) -> int:
    """Replace SyncBN by ``norm`` in a nested config; the number of places where it stood."""
    if isinstance(node, (list, tuple)):
        return sum(_replace_norm(value, norm) for value in node)
    if not isinstance(node, dict):
        return 0
    found = node.get('type') in ('SyncBN', 'MMSyncBN')
    if found:
        node['type'] = norm
    return found + sum(_replace_norm(value, norm) for value in node.values())


def enable_amp(cfg: Config) -> None:
    """Train with mmengine's ``AmpOptimWrapper``: float16 with dynamic loss scaling.

    Raises:
        ValueError: There is no CUDA device, or the config uses an optimizer wrapper of its own.
    """
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a CUDA device and there is none: leave it out')
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp replaces OptimWrapper, but the config has {wrapper.type}')
    wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def enable_tta(cfg: Config) -> None:
    """Wrap the model of ``cfg`` in its ``tta_model`` and test with its ``tta_pipeline``.

    Raises:
        ValueError: The config defines no test-time augmentation.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise ValueError('--tta needs tta_model and tta_pipeline in the config')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def enable_drawing(cfg: Config, show_dir: Optional[str], show: bool, wait_time: float) -> None:
    """Draw predictions while testing, into ``show_dir`` or a window.

    ``PredictionHook`` takes the place of mmseg's ``SegVisualizationHook``; another visualization
    hook, such as mmdet's, is switched on.
    """
    default_hooks = cfg.setdefault('default_hooks', {})
    hook = default_hooks.get('visualization')
    if hook is None or type_name(hook) == 'SegVisualizationHook':
        default_hooks.pop('visualization', None)
        add_hook(cfg, picture_dir=show_dir, show=show, wait_time=wait_time)
    else:
        hook.update(draw=True, interval=1)
        if show:
            hook.update(show=True, wait_time=wait_time)
        if show_dir:
            cfg.visualizer.save_dir = show_dir
    for hook in cfg.get('custom_hooks') or []:
        if show_dir and type_name(hook) == 'FlowVisualizationHook':
            hook.update(draw=True, out_dir=osp.join(show_dir, 'flow'))


def keep_predictions(cfg: Config, folder: str) -> None:
    """Write what a test predicts into ``folder``: masks, or panoptic results with their maps."""
    evaluators = (
        cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    )
    coco = [e for e in evaluators if 'Coco' in type_name(e) or 'Panoptic' in type_name(e)]
    for evaluator in coco:
        evaluator.outfile_prefix = osp.join(folder, 'results')
    if not coco:
        add_hook(cfg, mask_dir=folder)


def add_hook(cfg: Config, **options: Any) -> None:
    """Add a ``PredictionHook`` with these options to a config."""
    hook = dict(type='mmseg.PredictionHook', **options)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def type_name(part: Dict) -> str:
    """Name of the class of a part of a config, which may be the class, without its scope."""
    name = part.get('type', '')
    return name.rsplit('.', 1)[-1] if isinstance(name, str) else name.__name__
