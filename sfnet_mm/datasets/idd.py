"""India Driving (IDD) with the 19 Cityscapes classes."""

from mmseg.registry import DATASETS

from .mapped_dataset import MappedSegDataset
from .source_layouts import IDD


@DATASETS.register_module()
class IDDDataset(MappedSegDataset):
    """India Driving.

    "IDD: A Dataset for Exploring Problems of Autonomous Navigation in Unconstrained Environments"
    (https://arxiv.org/abs/1811.10200).

    ``data_root`` holds ``leftImg8bit`` and ``gtFine``; masks are drawn from the polygons by
    ``tools/dataset_converters/idd.py``. Non-drivable fallback counts as terrain; autorickshaws,
    billboards, curbs and the other labels without a Cityscapes class are ignored.
    """

    LAYOUT = IDD
