"""The India Driving data set (IDD) with the 19 Cityscapes classes."""

from mmseg.registry import DATASETS

from .mapped_dataset import MappedSegDataset
from .source_layouts import IDD


@DATASETS.register_module()
class IDDDataset(MappedSegDataset):
    """The India Driving data set.

    "IDD: A Dataset for Exploring Problems of Autonomous Navigation in Unconstrained Environments"
    (https://arxiv.org/abs/1811.10200).

    ``data_root`` has ``leftImg8bit`` and ``gtFine``. ``tools/dataset_converters/idd.py`` draws the
    masks from the polygons. Non-drivable fallback counts as terrain; autorickshaws,
    billboards, curbs and the other labels without a Cityscapes class are ignored.
    """

    LAYOUT = IDD
