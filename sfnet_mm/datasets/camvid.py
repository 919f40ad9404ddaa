"""The CamVid data set with eleven classes."""

from mmseg.registry import DATASETS

from .label_maps import CAMVID_CLASSES, CAMVID_PALETTE
from .mapped_dataset import MappedSegDataset
from .source_layouts import CAMVID


@DATASETS.register_module()
class CamVidDataset(MappedSegDataset):
    """CamVid (Brostow, Fauqueur and Cipolla, 2008) in the eleven classes of the SegNet tutorial.

    Masks have the ids 0 to 10, and 11 for unlabeled pixels, which are ignored. ``data_root`` has
    ``{split}`` and ``{split}annot``, or ``images/{split}`` and ``annotations/{split}``. The splits
    are ``'train'``, ``'val'`` and ``'test'``.
    """

    METAINFO = {'classes': CAMVID_CLASSES, 'palette': [list(color) for color in CAMVID_PALETTE]}
    LAYOUT = CAMVID
