"""Translates classes to the ids of a data set's own masks, which its test server expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sfnet_mm.datasets.label_maps import DRIVING_CLASSES, LABEL_TABLES


def label_ids(source: str | None, classes: Sequence[str]) -> np.ndarray | None:
    """Return the id of each class in the masks of a source.

    Args:
        source: Name of the source and of its label table.
        classes: Names of the predicted classes.

    Returns:
        uint8 array (classes,), such as 7 for the road of Cityscapes. None if there is no such
        id: for another data set, other classes, or several ids per class, as in Mapillary Vistas.
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
