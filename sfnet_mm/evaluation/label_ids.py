"""Predictions in the ids of a data set's own masks, as its server wants them."""

from __future__ import annotations

from collections import defaultdict
from typing import Sequence

import numpy as np

from sfnet_mm.datasets.label_maps import DRIVING_CLASSES, LABEL_TABLES


def label_ids(source: str | None, classes: Sequence[str]) -> np.ndarray | None:
    """The id, in the masks of a source, of each class.

    Args:
        source: Name of the source, which is that of its label table.
        classes: Names of the classes that are predicted.

    Returns:
        uint8 array (classes,): 7 for the road of Cityscapes. None where that has no meaning:
        another data set, other classes, or several ids for one class, as in Mapillary Vistas.
    """
    table = LABEL_TABLES.get(source)
    if table is None or not set(classes) <= set(DRIVING_CLASSES):
        return None
    ids = defaultdict(list)
    for label_id, train_id in table.train_ids.items():
        ids[DRIVING_CLASSES[train_id]].append(label_id)
    if any(len(ids[name]) != 1 for name in classes):
        return None
    return np.array([ids[name][0] for name in classes], dtype=np.uint8)
