"""The runner of ``tools/train.py`` and ``tools/test.py``."""

import contextlib
import copy
import functools
import logging
import os
import os.path as osp
from collections.abc import Iterable
from typing import Any

import torch.nn as nn
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import find_latest_checkpoint
from torch.utils.data import DataLoader

from sfnet_mm.checkpoints import check_checkpoint_exists, is_local
from sfnet_mm.datasets.pipelines import iterate_transforms
from sfnet_mm.utils.config_parts import data_sets, type_name
from sfnet_mm.utils.known_warnings import ignore_python_warnings, is_unknown
from sfnet_mm.utils.tooling import atomic_file, first_line, locked_folder

from .drawing import only_draws, warn_instead_of_raising
from .model_weights import check_host_parts, random_weight_options, remove_pretrained

# numpy raises this error when mmengine joins the entries of an empty data set.
_NOTHING_TO_JOIN = 'need at least one array to concatenate'


class DataFirstRunner(Runner):
    """mmengine's ``Runner``, which reads the data sets before it builds the model.

    Missing data is the most common error of a run, so it is reported first, in one line.
    Environment, config and hooks are written to the log file only, and known warnings of the
    hosts are left out.

    Attributes:
        splits: Splits whose data sets are read: ``('train', 'val')`` or ``('test',)``.

    Raises:
        ValueError: A data set cannot be read, or is empty.
        OSError: The checkpoint of ``load_from`` does not exist.
    """

    splits: tuple[str, ...] = ('train', 'val')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._data_sets: dict[int, Any] = {}
        self._levels: dict[logging.Handler, int] = {}
        super().__init__(*args, **kwargs)
        self._print_messages(True)
        log = osp.join(self._log_dir, f'{self.timestamp}.log')
        self.logger.info(f'environment, config and hooks: {log}')

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, which prints only warnings until the model is built."""
        logger = super().build_logger(*args, **kwargs)
        ignore_python_warnings()
        logger.addFilter(is_unknown)
        self._levels = {
            handler: handler.level
            for handler in logger.handlers
            if not isinstance(handler, logging.FileHandler)
        }
        self._print_messages(False)
        return logger

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Register all hooks; errors of those that only draw become warnings."""
        super().register_hooks(*args, **kwargs)
        for hook in filter(only_draws, self.hooks):
            warn_instead_of_raising(hook)

    def _print_messages(self, enabled: bool) -> None:
        """Print all messages on the screen, or only warnings."""
        for handler, level in self._levels.items():
            handler.setLevel(level if enabled else max(level, logging.WARNING))

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Read the data sets and look for the checkpoint, then build the model."""
        self._print_messages(True)
        for split in self.splits:
            loader = getattr(self, f'_{split}_dataloader')
            if isinstance(loader, dict) and isinstance(loader.get('dataset'), dict):
                self._data_sets[id(loader)] = read_data_set(loader['dataset'], split)
        if self._load_from and is_local(self._load_from):
            check_checkpoint_exists(self._load_from)
        model = super().build_model(model)
        self._print_messages(False)
        return model

    def _init_model_weights(self) -> None:
        """Initialize as the host does, but fetch no weights for a model that resumes.

        Raises:
            OSError, ValueError: Pretrained weights cannot be fetched or do not fit; the message is
                one line that says what to do.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if self._resume and (self._load_from or find_latest_checkpoint(self.work_dir)):
            remove_pretrained(model)
        try:
            check_host_parts(model)
            super()._init_model_weights()
        except (OSError, ValueError) as e:
            options = ' '.join(random_weight_options(self.cfg.get('model')))
            line = f'{first_line(e)}; or start from random weights: --cfg-options {options}'
            raise (OSError if isinstance(e, OSError) else ValueError)(line) from None

    def train(self) -> nn.Module:
        """Train, unless another process trains in the same work dir.

        Raises:
            BlockingIOError: It does. Each would overwrite the checkpoints of the other.
        """
        with contextlib.nullcontext() if self.rank else locked_folder(self.work_dir):
            return super().train()

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint as the host does, but leave no part of one if the disk is full."""
        if self.rank or '://' in out_dir or any(args) or kwargs.get('backend_args'):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_file(osp.join(out_dir, filename)) as temporary:
            super().save_checkpoint(out_dir, osp.basename(temporary), *args, **kwargs)

    def build_dataloader(
        self, dataloader: DataLoader | dict, *args: Any, **kwargs: Any
    ) -> DataLoader:
        """Build a data loader around the data set that was read for it."""
        if id(dataloader) in self._data_sets:
            dataset = self._data_sets.pop(id(dataloader))
            dataloader = copy.copy(dataloader)
            # The host copies the config, but not a function in it and thus not the data set.
            dataloader['dataset'] = dict(type=lambda: dataset)
        return super().build_dataloader(dataloader, *args, **kwargs)


def read_data_set(config: dict, split: str) -> Any:
    """Build a data set and read the list of its files.

    Raises:
        ValueError: The data set cannot be read, has no file, or lists files that do not exist. The
            message is one line.
    """
    try:
        dataset = DATASETS.build(copy.deepcopy(config))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        count = len(dataset)
        _check_files(dataset)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, ImportError) as e:
        reason = e.args[0] if isinstance(e, KeyError) and e.args else e
        line = first_line(reason) or type(e).__name__
        if line == _NOTHING_TO_JOIN:
            line = _no_image(config)
        if isinstance(e, FileNotFoundError) and e.filename:
            line = f'{e.filename} does not exist: check data_root, data_prefix and the suffixes'
        raise ValueError(f'{split}_dataloader: {line}') from e
    if not count:
        raise ValueError(f'{split}_dataloader: {_no_image(config)}')
    return dataset


def _check_files(dataset: Any) -> None:
    """Check that the images and masks on disk exist which a data set and those inside it list.

    The hosts list a mask for each image without looking for it. A run would end at the first one
    that is missing, maybe after hours.

    Raises:
        FileNotFoundError: The message counts the missing files and names the first.
    """
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner[0] is not None:
        for part in inner:
            _check_files(part)
        return
    if not isinstance(dataset, BaseDataset):
        return
    steps = list(iterate_transforms(dataset.pipeline.transforms))
    backends = [getattr(part, 'backend_args', None) or {} for part in (dataset, *steps)]
    elsewhere = any(b.get('backend', 'local') != 'local' for b in backends)
    if elsewhere or any(getattr(step, 'ignore_empty', False) for step in steps):
        return
    keys = {'images': 'img_path'}
    if any(isinstance(s, LoadAnnotations) and getattr(s, 'with_seg', True) for s in steps):
        keys['masks'] = 'seg_map_path'
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    for what, key in keys.items():
        paths = [info[key] for info in infos if isinstance(info.get(key), str)]
        missing = _missing(path for path in paths if '://' not in path)
        if missing:
            raise FileNotFoundError(
                f'{type(dataset).__name__}: {len(missing)} of {len(paths)} {what} do not exist, '
                f'such as {missing[0]}: check data_root, data_prefix and the suffixes'
            )


def _missing(paths: Iterable[str]) -> list[str]:
    """Select the paths that do not exist.

    Each folder is listed once, because a question for every file takes minutes on a network drive.
    Only links and names that are not in the list, as on a drive that ignores case, are asked for.
    """

    @functools.cache
    def names(folder: str) -> set[str]:
        try:
            with os.scandir(folder or '.') as entries:
                return {entry.name for entry in entries if not entry.is_symlink()}
        except OSError:
            return set()

    return [
        path
        for path in paths
        if osp.basename(path) not in names(osp.dirname(path)) and not osp.exists(path)
    ]


def _no_image(config: dict) -> str:
    """Name the data sets of a config, the folders that they read, and what else is in these."""
    places = []
    for dataset in data_sets(dict(dataset=config)):
        root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or {}
        folder = osp.join(root, prefix.get('img_path') or prefix.get('img') or '')
        place = f'{type_name(dataset)} finds no image in {folder or "its folders"}'
        others = sorted(os.listdir(folder)) if osp.isdir(folder) else []
        places.append(f'{place}, but {others[0]}: check img_suffix' if others else place)
    return '; '.join(places)
