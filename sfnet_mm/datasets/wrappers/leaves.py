"""Finds the data sets inside wrappers, and reads their masks for :class:`ClassUniformDataset`."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.logging import print_log

from sfnet_mm.utils.dataset_leaves import leaves_of

from ..transforms.crop_around_centroid import CropAroundCentroid, check_before_crop
from .centroid_index import CentroidIndex


def load_train_ids(transform: LoadAnnotations, info: Mapping[str, Any]) -> np.ndarray:
    """Load the train ids (H, W), uint8, of a data info by the transform of its data set."""
    return transform(copy.deepcopy(dict(info)))['gt_seg_map']


def sampled_leaves(dataset: Any) -> Iterator[tuple[BaseDataset, int]]:
    """Yield the data sets inside wrappers, or raise a TypeError at one without crops."""
    for leaf, times in leaves_of(dataset, (ConcatDataset, RepeatDataset)):
        if not isinstance(leaf, BaseDataset):
            raise TypeError(
                f'ClassUniformDataset: a {type(leaf).__name__} cannot be sampled; give '
                'a BaseSegDataset, or a ConcatDataset or RepeatDataset of some'
            )
        yield leaf, times


def find_transform(leaf: BaseDataset, kind: type, name: str) -> Any:
    """Find the first transform of a kind in the pipeline of a data set, or raise a ValueError."""
    for transform in leaf.pipeline.transforms:
        if isinstance(transform, kind):
            return transform
    raise ValueError(f'ClassUniformDataset: the pipeline of {type(leaf).__name__} has no {name}')


def label_space(info: Mapping[str, Any]) -> str:
    """Return a data info as text, without its paths and its index."""
    own = ('img_path', 'seg_map_path', 'sample_idx', 'seg_fields')
    return repr(sorted((k, v) for k, v in info.items() if k not in own))


def centroids_of(
    leaf: BaseDataset, tile: int, num_classes: int, folder: str | None, workers: int | None
) -> CentroidIndex:
    """Return the centroids of a data set, whose pipeline must load masks and crop around centroids.

    Args:
        leaf: The data set.
        tile: See :meth:`CentroidIndex.read_or_build`, as for the other arguments.
        num_classes: Number of classes.
        folder: Folder of the index.
        workers: Number of processes.
    """
    loader = find_transform(leaf, LoadAnnotations, 'mask-loading transform')
    find_transform(leaf, CropAroundCentroid, 'CropAroundCentroid')
    check_before_crop(leaf.pipeline.transforms)
    infos = [leaf.get_data_info(i) for i in range(len(leaf))]
    return CentroidIndex.read_or_build(
        infos,
        partial(load_train_ids, loader),
        tile,
        num_classes,
        label_space=repr([repr(loader), *sorted({label_space(info) for info in infos})]),
        folder=folder,
        workers=workers,
    )


def warn_of_absent_classes(classes: Sequence[int], metainfo: Mapping[str, Any]) -> None:
    """Name the classes that never occur, from which no crops can be drawn."""
    if not classes:
        return
    names = metainfo.get('classes') or ()
    named = [names[i] if i < len(names) else str(i) for i in classes]
    print_log(
        f'ClassUniformDataset: {", ".join(named)} never occur; the crops are shared '
        'among the other classes',
        'current',
        logging.WARNING,
    )
