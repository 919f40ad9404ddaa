"""Checks the data of a run before the model is trained or tested."""

import copy
import functools
import os
import os.path as osp
from collections.abc import Iterable
from typing import Any

import torch.nn as nn
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.fileio import get_text
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from sfnet_mm.datasets.pipelines import iterate_transforms, load_as_stored
from sfnet_mm.utils.config_parts import data_sets, metrics, type_name
from sfnet_mm.utils.dataset_leaves import leaves_of
from sfnet_mm.utils.tooling import first_line

# numpy raises this error when mmengine joins the entries of an empty data set.
_NOTHING_TO_JOIN = 'need at least one array to concatenate'


def read_data_set(config: dict, split: str) -> Any:
    """Build a data set and read the list of its files.

    Where the pipeline loads masks, images are loaded as stored, whatever their EXIF tag.

    Raises:
        ValueError: The data set cannot be read, has no file, or lists files that do not exist. The
            message is one line.
    """
    try:
        dataset = DATASETS.build(copy.deepcopy(config))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        count = len(dataset)
        for part in _listed_data_sets(dataset):
            _check_files(part)
            steps = part.pipeline.transforms
            if any(isinstance(step, LoadAnnotations) for step in iterate_transforms(steps)):
                load_as_stored(steps)
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


def _check_files(dataset: BaseDataset) -> None:
    """Check that the images and masks on disk exist which a data set lists.

    The hosts list a mask for each image without looking for it. A run would end at the first one
    that is missing, maybe after hours.

    Raises:
        FileNotFoundError: The message counts the missing files and names the first.
    """
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
                f'such as {missing[0]}: check data_root, data_prefix, the suffixes and ann_file '
                '(a name without suffix a line)'
            )


def _listed_data_sets(dataset: Any) -> list[BaseDataset]:
    """List the data sets inside of one that have a list of their files."""
    return [leaf for leaf, _ in leaves_of(dataset) if isinstance(leaf, BaseDataset)]


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
        listed = osp.join(root, dataset.get('ann_file') or '')
        if osp.isfile(listed) and not get_text(listed).strip():
            places.append(f'{listed} lists no image')
            continue
        folder = osp.join(root, prefix.get('img_path') or prefix.get('img') or '')
        place = f'{type_name(dataset)} finds no image in {folder or "its folders"}'
        others = sorted(os.listdir(folder)) if osp.isdir(folder) else []
        places.append(f'{place}, but {others[0]}: check img_suffix' if others else place)
    return '; '.join(places)


def check_labels(dataset: Any, evaluator: Any, split: str) -> None:
    """Raise a ValueError if a metric compares with labels that no transform loads.

    Pipelines with transforms of a user are not checked, since these may load labels.
    """
    if not isinstance(evaluator, (dict, list, tuple)):
        return
    compared = [m for m in metrics(evaluator) if 'IoU' in type_name(m) and not m.get('format_only')]
    for part in _listed_data_sets(dataset) if compared else ():
        steps = list(iterate_transforms(part.pipeline.transforms))
        hosts = {type(step).__module__.split('.')[0] for step in steps}
        if hosts <= {'mmcv', 'mmengine', 'mmseg', 'sfnet_mm'} and not any(
            isinstance(step, LoadAnnotations) for step in steps
        ):
            raise ValueError(
                f'{split}_dataloader: {type_name(compared[0])} needs labels, but the pipeline has '
                "no dict(type='LoadAnnotations'); without labels, set format_only=True"
            )


def check_classes(model: nn.Module, dataset: Any, split: str) -> None:
    """Raise a ValueError if a segmentor has another number of classes than a data set.

    The metrics would count pixels of the wrong classes, or leave some out.
    """
    model = getattr(model, 'module', model)
    number = getattr(model, 'num_classes', None)
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    one_logit = getattr(model, 'out_channels', None) == 1
    if isinstance(number, int) and classes and number != len(classes) and not one_logit:
        raise ValueError(
            f'{split}_dataloader: the data set has {len(classes)} classes, but the decode head has '
            f'num_classes={number}: set the number of the data set for each head'
        )


def check_batches(loader: DataLoader) -> None:
    """Raise a ValueError if a data loader with the default sampler gives no batch."""
    if isinstance(loader.sampler, DefaultSampler) and len(loader) == 0:
        raise ValueError(
            f'{len(loader.dataset)} images give no batch of batch_size={loader.batch_size} with '
            'drop_last=True: lower batch_size'
        )
