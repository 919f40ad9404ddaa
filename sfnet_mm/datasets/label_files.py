"""Reads label maps of a user as the data set of a config reads its own."""

from __future__ import annotations

import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS

from sfnet_mm.utils.config_parts import data_sets, registered

from .label_maps import IGNORE_INDEX
from .transforms.loading import LoadMappedAnnotations, read_ids
from .uds import UDS_SOURCES, UDSDataset

NO_TABLE = 'none'


def label_table(cfg: Config) -> str:
    """Return the name of the label table of a config's test data, or ``'none'``."""
    tables: set[str] = set()
    for dataset in data_sets(cfg.get('test_dataloader')):
        kind = registered(DATASETS, dataset)
        if isinstance(kind, type) and issubclass(kind, UDSDataset):
            sources = dataset.get('sources') or {name: name for name in UDS_SOURCES}
            tables |= {UDS_SOURCES[name].table for name in sources if sources[name]}
        else:
            layout = getattr(kind, 'LAYOUT', None)
            tables.add(layout.table if layout else NO_TABLE)
    return tables.pop() if len(tables) == 1 else NO_TABLE


def read_label(path: str, table: str, num_classes: int) -> np.ndarray:
    """Read a label map as (H, W) class indices; 255 is ignored.

    Args:
        path: Path of the label map.
        table: Name of the label table that translates its ids, or ``'none'``.
        num_classes: Number of classes of the model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an image, has colors, or has ids that are neither in the table
            nor classes.
    """
    if table == NO_TABLE:
        label = read_ids(path)
    else:
        sample = dict(seg_map_path=path, label_table=table, seg_fields=[])
        try:
            label = LoadMappedAnnotations().transform(sample)['gt_seg_map']
        except ValueError as e:
            raise ValueError(f'label {e}; --label-table says how to read it') from None
    outside = np.unique(label[(label >= num_classes) & (label != IGNORE_INDEX)])
    if outside.size:
        raise ValueError(
            f'label {path} holds {outside[0]}, but the classes are 0 to {num_classes - 1} and '
            f'{IGNORE_INDEX} is ignored: --label-table translates the ids of a data set'
        )
    return label
