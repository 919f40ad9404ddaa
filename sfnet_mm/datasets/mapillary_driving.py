"""The Mapillary Vistas v1.2 data set with the 19 Cityscapes classes."""

from mmseg.registry import DATASETS

from .mapped_dataset import MappedSegDataset
from .source_layouts import MAPILLARY


@DATASETS.register_module()
class MapillaryDrivingDataset(MappedSegDataset):
    """Mapillary Vistas v1.2 (https://www.mapillary.com/dataset/vistas) with 66 labels mapped to 19.

    ``data_root`` has ``training`` and ``validation``; their ``labels`` (or ``v1.2/labels``) are
    palette PNGs of v1.2 ids. For its own 65 classes see :class:`MapillaryVistasDataset`.
    """

    LAYOUT = MAPILLARY
