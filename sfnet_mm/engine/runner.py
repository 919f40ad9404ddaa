"""The runner of ``tools/train.py`` and ``tools/test.py``."""

import contextlib
import copy
import logging
import os.path as osp
from typing import Any

import torch.nn as nn
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import find_latest_checkpoint
from mmseg.models import BaseSegmentor
from torch.utils.data import DataLoader

from sfnet_mm.checkpoints import check_checkpoint_exists, is_local
from sfnet_mm.deploy.model import read_fitting_checkpoint, set_test_mode, sliding_windows
from sfnet_mm.utils.known_warnings import ignore_python_warnings, is_unknown
from sfnet_mm.utils.state_dicts import compare_tensors
from sfnet_mm.utils.tooling import atomic_file, first_line, locked_folder

from .data_check import check_batches, check_classes, check_labels, read_data_set
from .drawing import only_draws, warn_instead_of_raising
from .hooks.label_check_hook import LabelCheckHook
from .model_weights import check_host_parts, random_weight_options, remove_pretrained


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
        self.register_hook(LabelCheckHook())
        for hook in filter(only_draws, self.hooks):
            warn_instead_of_raising(hook)

    def _print_messages(self, enabled: bool) -> None:
        """Print all messages on the screen, or only warnings."""
        for handler, level in self._levels.items():
            handler.setLevel(level if enabled else max(level, logging.WARNING))

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Read the data sets and look for the checkpoint, then build the model."""
        self._print_messages(True)
        found = {}
        for split in self.splits:
            loader = getattr(self, f'_{split}_dataloader')
            if isinstance(loader, dict) and isinstance(loader.get('dataset'), dict):
                found[split] = self._data_sets[id(loader)] = read_data_set(loader['dataset'], split)
                if split != 'train':
                    check_labels(found[split], getattr(self, f'_{split}_evaluator'), split)
        if self._load_from and is_local(self._load_from):
            check_checkpoint_exists(self._load_from)
        model = super().build_model(model)
        for split, dataset in found.items():
            check_classes(model, dataset, split)
        segmentor = getattr(model, 'module', model)
        if isinstance(segmentor, BaseSegmentor):
            set_test_mode(segmentor)
            sliding_windows(segmentor)
        self._print_messages(False)
        return model

    def _init_model_weights(self) -> None:
        """Initialize as the host does, but fetch no weights for a model that resumes.

        Raises:
            OSError, ValueError: Pretrained weights cannot be fetched or do not fit; the message is
                one line that says what to do.
        """
        model = self._unwrapped()
        if self._resume and (self._load_from or find_latest_checkpoint(self.work_dir)):
            remove_pretrained(model)
        try:
            check_host_parts(model)
            super()._init_model_weights()
        except (OSError, ValueError) as e:
            options = ' '.join(random_weight_options(self.cfg.get('model')))
            line = f'{first_line(e)}; or start from random weights: --cfg-options {options}'
            raise (OSError if isinstance(e, OSError) else ValueError)(line) from None

    def _unwrapped(self) -> nn.Module:
        return self.model.module if is_model_wrapper(self.model) else self.model

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        """Load the tensors that fit, as the host does.

        Raises:
            ValueError: None of them fits, so that a training would start from other weights.
        """
        loaded = super().load_checkpoint(filename, *args, **kwargs)
        if 'train' not in self.splits:
            return loaded
        state = {k.removeprefix('module.'): v for k, v in loaded.get('state_dict', loaded).items()}
        expected = self._unwrapped().state_dict()
        differences = compare_tensors(expected, state)
        unfit = {*differences['missing'], *differences['of another shape']}
        if all(name in unfit or name.endswith('num_batches_tracked') for name in expected):
            raise ValueError(
                f'checkpoint {filename} has no tensor of the model: name another, or '
                'leave load_from out to start from the weights of the config'
            )
        return loaded

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume as the host does, but not with a part of the weights or from weights alone.

        Raises:
            ValueError: The checkpoint does not belong to the config, or has no state of a run.
        """
        meta = read_fitting_checkpoint(self.model, filename, 'the config')['meta']
        if 'iter' not in meta:
            raise ValueError(
                f'checkpoint {filename} has no state of a run to resume: start from its weights by '
                f'--cfg-options load_from={filename}'
            )
        super().resume(filename, *args, **kwargs)

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
        """Build a data loader around the data set that was read for it.

        Without processes, options that are for processes are left out.
        """
        if isinstance(dataloader, dict):
            read = self._data_sets.pop(id(dataloader), None)
            dataloader = copy.copy(dataloader)
            if read is not None:
                # The host copies the config, but not a function in it and thus not the data set.
                dataloader['dataset'] = dict(type=lambda: read)
            if not dataloader.get('num_workers'):
                dataloader.pop('persistent_workers', None)
                dataloader.pop('prefetch_factor', None)
        loader = super().build_dataloader(dataloader, *args, **kwargs)
        check_batches(loader)
        return loader


class DataFirstTestRunner(DataFirstRunner):
    """A runner that only tests: it reads no data for training or validation."""

    splits = ('test',)
