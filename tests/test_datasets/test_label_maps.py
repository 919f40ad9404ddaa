"""Label tables against the published tables of each data set."""

import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset, MapillaryDataset_v1

from sfnet_mm.datasets.label_maps import IDD_LABELS, LABEL_TABLES

# Names of Mapillary v1.2 and IDD that count as each Cityscapes class.
MAPILLARY = {
    'road': ['Road', 'Lane Marking - General', 'Manhole'],
    'sidewalk': ['Sidewalk', 'Curb'],
    'building': ['Building'],
    'wall': ['Wall'],
    'fence': ['Fence'],
    'pole': ['Pole', 'Utility Pole'],
    'traffic light': ['Traffic Light'],
    'traffic sign': ['Traffic Sign (Front)'],
    'vegetation': ['Vegetation'],
    'terrain': ['Terrain'],
    'sky': ['Sky'],
    'person': ['Person'],
    'rider': ['Bicyclist', 'Motorcyclist', 'Other Rider'],
    'car': ['Car'],
    'truck': ['Truck'],
    'bus': ['Bus'],
    'train': ['On Rails'],
    'motorcycle': ['Motorcycle'],
    'bicycle': ['Bicycle'],
}
# cityscapesScripts, helpers/labels.py: (id, trainId) of the evaluated labels.
CITYSCAPES = (
    '7 0, 8 1, 11 2, 12 3, 13 4, 17 5, 19 6, 20 7, 21 8, 22 9, 23 10, 24 11, 25 12, 26 13, '
    '27 14, 28 15, 31 16, 32 17, 33 18'
)
# AutoNUE, label id to Cityscapes train id.
IDD = (
    '0 0, 3 1, 5 9, 6 11, 8 12, 9 17, 10 18, 12 13, 13 14, 14 15, 17 16, 20 3, 21 4, 24 7, '
    '25 6, 26 5, 29 2, 32 8, 33 10'
)


def expect(table, count, pairs):
    """Every one of the 256 entries: mapped, ignored or not allowed."""
    lut = np.full(256, 254)
    lut[:count] = 255
    for label_id, train_id in pairs:
        lut[label_id] = train_id
    np.testing.assert_array_equal(LABEL_TABLES[table].lut, lut)


def pairs(text):
    return [tuple(map(int, pair.split())) for pair in text.split(',')]


def test_cityscapes_and_idd():
    expect('cityscapes', 34, pairs(CITYSCAPES))
    expect('idd', 40, pairs(IDD))


def test_idd_names_stand_at_their_ids():
    ids = {'autorickshaw': 11, 'billboard': 23, 'obs-str-bar-fallback': 28, 'license plate': 39}
    for name, label_id in ids.items():
        assert IDD_LABELS[label_id] == name


def test_mapillary_by_the_hosts_class_names():
    names = [name.lower() for name in MapillaryDataset_v1.METAINFO['classes']]
    assert len(names) == 66
    found = [
        (names.index(name.lower()), CityscapesDataset.METAINFO['classes'].index(target))
        for target, sources in MAPILLARY.items()
        for name in sources
    ]
    assert len(found) == 25
    expect('mapillary', 66, found)


def test_bdd_holds_train_ids_and_ignore():
    lut = LABEL_TABLES['bdd'].lut
    assert list(lut[:19]) == list(range(19))
    assert lut[255] == 255
    assert set(lut[19:255]) == {254}


def test_tables_cannot_be_changed_by_accident():
    with pytest.raises(ValueError):
        LABEL_TABLES['bdd'].lut[0] = 3
