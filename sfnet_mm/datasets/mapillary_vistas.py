"""The Mapillary Vistas data set with its own 65 classes."""

from dataclasses import replace

from mmseg.datasets import MapillaryDataset_v1
from mmseg.registry import DATASETS

from .mapped_dataset import MappedSegDataset
from .source_layouts import MAPILLARY

VISTAS_CLASSES = MapillaryDataset_v1.METAINFO['classes'][:-1]
VISTAS_PALETTE = MapillaryDataset_v1.METAINFO['palette'][:-1]


@DATASETS.register_module()
class MapillaryVistasDataset(MappedSegDataset):
    """Mapillary Vistas v1.2 (https://www.mapillary.com/dataset/vistas) with 65 evaluated labels.

    The 66th, "Unlabeled", is ignored. mmseg's ``MapillaryDataset_v1`` reads the same masks, but
    removes that label in one pass per class. For the 19 classes of UDS see
    :class:`MapillaryDrivingDataset`.
    """

    METAINFO = dict(classes=VISTAS_CLASSES, palette=VISTAS_PALETTE)
    LAYOUT = replace(MAPILLARY, table='mapillary_vistas')
