"""Label tables of the driving data sets, for the ids stored in their masks.

UDS, the Unified Driving Segmentation set ("SFNet: Faster and Accurate Semantic Segmentation via
Semantic Flow", section 3.4, https://arxiv.org/abs/2207.04415), labels four data sets with the 19
Cityscapes classes. Each source keeps its own ids on disk. A :class:`LabelTable` translates them
while a mask is loaded, so that no second copy of a label is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from mmseg.datasets import CityscapesDataset

IGNORE_INDEX = 255

# These are the 19 classes of Cityscapes, and their usual colors in RGB.
DRIVING_CLASSES = CityscapesDataset.METAINFO['classes']
DRIVING_PALETTE = tuple(map(tuple, CityscapesDataset.METAINFO['palette']))


@dataclass(frozen=True)
class LabelTable:
    """Translates the ids in a mask to train ids.

    Args:
        name: Name of the table in error messages.
        known_ids: Every id that a mask may have.
        train_ids: Train id of each evaluated id; the other known ids are ignored (255).
    """

    name: str
    known_ids: Sequence[int]
    train_ids: Mapping[int, int]

    # This marks ids that no mask of the set may have. No table uses it, since classes end at 64.
    UNKNOWN = 254

    @cached_property
    def lut(self) -> np.ndarray:
        """The train id, ``IGNORE_INDEX`` or ``UNKNOWN`` of each id: uint8, (256,)."""
        lut = np.full(256, self.UNKNOWN, dtype=np.uint8)
        lut[list(self.known_ids)] = IGNORE_INDEX
        for label_id, train_id in self.train_ids.items():
            lut[label_id] = train_id
        lut.setflags(write=False)
        return lut

    def describe_unknown(self, mask: np.ndarray) -> str:
        """List the ids of ``mask`` that are not in the table, as text."""
        ids = [int(i) for i in np.unique(mask) if i > 255 or self.lut[i] == self.UNKNOWN]
        return ', '.join(map(str, ids[:8])) + (', ...' if len(ids) > 8 else '')


def _by_name(ids: Mapping[str, int | Sequence[int]]) -> dict[int, int]:
    train_ids = {}
    for name, label_ids in ids.items():
        for label_id in [label_ids] if isinstance(label_ids, int) else label_ids:
            train_ids[label_id] = DRIVING_CLASSES.index(name)
    return train_ids


# These are the ids 0..33 of ``*_gtFine_labelIds.png`` (cityscapesScripts).
CITYSCAPES_IDS = {
    'road': 7,
    'sidewalk': 8,
    'building': 11,
    'wall': 12,
    'fence': 13,
    'pole': 17,
    'traffic light': 19,
    'traffic sign': 20,
    'vegetation': 21,
    'terrain': 22,
    'sky': 23,
    'person': 24,
    'rider': 25,
    'car': 26,
    'truck': 27,
    'bus': 28,
    'train': 31,
    'motorcycle': 32,
    'bicycle': 33,
}

# These are positions in the class list of Mapillary Vistas v1.2, 0 (bird) to 65 (unlabeled). Lane
# markings (general) and manholes are road, curbs are sidewalk, and three kinds of riders are one
# class. Crosswalks, the backs of signs and all other labels are ignored.
MAPILLARY_IDS = {
    'road': (13, 24, 41),
    'sidewalk': (2, 15),
    'building': 17,
    'wall': 6,
    'fence': 3,
    'pole': (45, 47),
    'traffic light': 48,
    'traffic sign': 50,
    'vegetation': 30,
    'terrain': 29,
    'sky': 27,
    'person': 19,
    'rider': (20, 21, 22),
    'car': 55,
    'truck': 61,
    'bus': 54,
    'train': 58,
    'motorcycle': 57,
    'bicycle': 52,
}

# This is the label table of India Driving: the position of a name is its field ``id``.
IDD_LABELS = (
    'road',
    'parking',
    'drivable fallback',
    'sidewalk',
    'rail track',
    'non-drivable fallback',
    'person',
    'animal',
    'rider',
    'motorcycle',
    'bicycle',
    'autorickshaw',
    'car',
    'truck',
    'bus',
    'caravan',
    'trailer',
    'train',
    'vehicle fallback',
    'curb',
    'wall',
    'fence',
    'guard rail',
    'billboard',
    'traffic sign',
    'traffic light',
    'pole',
    'polegroup',
    'obs-str-bar-fallback',
    'building',
    'bridge',
    'tunnel',
    'vegetation',
    'sky',
    'fallback background',
    'unlabeled',
    'ego vehicle',
    'rectification border',
    'out of roi',
    'license plate',
)
IDD_NAME_TO_ID = {name: i for i, name in enumerate(IDD_LABELS)}
IDD_IDS = {
    name: IDD_NAME_TO_ID['non-drivable fallback' if name == 'terrain' else name]
    for name in DRIVING_CLASSES
}

# These are the eleven classes of the SegNet tutorial; 11 is unlabeled.
CAMVID_CLASSES = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'sign symbol',
    'fence',
    'car',
    'pedestrian',
    'bicyclist',
)
CAMVID_PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)

LABEL_TABLES = {
    table.name: table
    for table in (
        LabelTable('cityscapes', range(34), _by_name(CITYSCAPES_IDS)),
        LabelTable('idd', range(len(IDD_LABELS)), _by_name(IDD_IDS)),
        LabelTable('mapillary', range(66), _by_name(MAPILLARY_IDS)),
        # The masks of BDD100K's 10k images have train ids.
        LabelTable('bdd', (*range(19), IGNORE_INDEX), {i: i for i in range(19)}),
        # These are the 65 classes of Mapillary Vistas; 65 is unlabeled.
        LabelTable('mapillary_vistas', range(66), {i: i for i in range(65)}),
        LabelTable('camvid', range(12), {i: i for i in range(11)}),
    )
}
